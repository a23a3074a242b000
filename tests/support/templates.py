"""Jobs that pod templates make: a silent template, and a rich one, as the operator renders them."""

from typing import Any

from distillery_contract import wire
from distillery_contract.request import Stage
from distillery_operator.cluster import jobs
from distillery_operator.cluster.pod_template import Defaults
from distillery_operator.engine import requests
from distillery_operator.engine.actions import Launch
from distillery_operator.resource.experiment import Experiment
from distillery_operator.trials.trial import Trial
from support.shapes import DEFAULTS, Object, experiment

LAUNCH = Launch(Stage.TRAIN, 7, 2)
NO_CLAIM = Defaults("registry.example/trainer:1")
LONGEST = experiment("n" * 63, maxTrials=100_000)
"""The longest name that an experiment may have, and as many trials."""

RICH: Object = {
    "metadata": {
        "labels": {"kueue.x-k8s.io/queue-name": "gpus", "team": "nlp"},
        "annotations": {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"},
    },
    "spec": {
        "priorityClassName": "batch",
        "imagePullSecrets": [{"name": "registry"}],
        "nodeSelector": {"gpu": "h200"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "one-gpu"}],
        "terminationGracePeriodSeconds": 300,
        "serviceAccountName": "trainer",
        "securityContext": {"runAsUser": 1000, "supplementalGroups": [44]},
        "initContainers": [{"name": "fetch", "image": "fetch:1"}],
        "volumes": [
            {"name": "workspace", "persistentVolumeClaim": {"claimName": "mine"}},
            {"name": "shm", "emptyDir": {"medium": "Memory"}},
        ],
        "containers": [
            {"name": "shipper", "image": "shipper:1"},
            {
                "name": "trainer",
                "image": "mine:2",
                "imagePullPolicy": "Always",
                "env": [
                    {"name": "HF_HOME", "value": "/workspace/hub"},
                    {"name": wire.REQUEST, "value": "{}"},
                    {
                        "name": "TOKEN",
                        "valueFrom": {"secretKeyRef": {"name": "hub", "key": "token"}},
                    },
                ],
                "ports": [
                    {"name": "debug", "containerPort": 5678},
                    {"name": "metrics", "containerPort": 1234},
                ],
                "resources": {
                    "limits": {
                        "nvidia.com/gpu": "2",
                        "nvidia.com/mig-1g.10gb": 1,
                        "nvidia.com/gpumem": "3000",
                        "memory": "40Gi",
                        "cpu": "8",
                    },
                    "claims": [{"name": "gpu"}],
                },
                "securityContext": {"readOnlyRootFilesystem": False},
                "volumeMounts": [
                    {"name": "shm", "mountPath": "/dev/shm"},
                    {"name": "workspace", "mountPath": "/workspace", "subPath": "team"},
                ],
            },
        ],
    },
}


def rendered(
    of: Experiment | None = None, launch: Launch = LAUNCH, defaults: Defaults = DEFAULTS
) -> Object:
    """Return the Job of an attempt."""
    of = of or experiment()
    trial = Trial(launch.trial, {"n_layers": 2})
    return jobs.job(of, launch, requests.order(of, launch, trial), defaults)


def trainer(job: Object) -> Object:
    """Return a Job's container of that name."""
    containers = job["spec"]["template"]["spec"]["containers"]
    (found,) = [c for c in containers if c["name"] == "trainer"]
    made: Object = found
    return made


def variables(job: Object) -> dict[str, Any]:
    """Return the variables of a Job's trainer."""
    return {v["name"]: v.get("value", v.get("valueFrom")) for v in trainer(job)["env"]}
