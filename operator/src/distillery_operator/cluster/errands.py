"""PURE: Jobs and pods that need the trials' volume alone: they remove files, or read a model."""

from collections.abc import Sequence
from typing import Any, Final

from distillery_contract.request import Stage
from distillery_operator.cluster import jobs, pod_template
from distillery_operator.cluster.pod_template import Defaults
from distillery_operator.engine import requests
from distillery_operator.engine.actions import Launch
from distillery_operator.resource.experiment import Experiment
from distillery_operator.resource.label_names import EXPERIMENT

COLLECT_SECONDS: Final = 3600
READER_SECONDS: Final = 3600
"""Life of a pod that only reads, should nobody delete it."""


def collection(experiment: Experiment, trials: Sequence[int], defaults: Defaults) -> dict[str, Any]:
    """Return the Job that removes the files of trials: it needs the volume and nothing else."""
    made = _removing(experiment, requests.disposable(experiment, trials), defaults)
    made["metadata"]["name"] = jobs.collection_name(experiment, trials)
    return made


def removal(experiment: Experiment, folders: Sequence[str], defaults: Defaults) -> dict[str, Any]:
    """Return the Job that removes folders of an experiment which is gone, or about to go.

    The experiment does not own it, or it would go first.
    """
    made = _removing(experiment, folders, defaults)
    del made["metadata"]["ownerReferences"]
    made["metadata"]["name"] = jobs.removal_name(experiment)
    return made


def reader(experiment: Experiment, defaults: Defaults, name: str) -> dict[str, Any]:
    """Return a pod that waits, with the volume, for commands that read from it."""
    launch = Launch(Stage.COLLECT, 0, 1)
    template = _frugal(
        pod_template.render(experiment, launch, requests.order(experiment, launch), defaults)
    )
    (container,) = template["spec"]["containers"]
    container["command"] = ["sleep", str(READER_SECONDS)]
    for part in ("args", "env", "ports", "livenessProbe", "readinessProbe", "startupProbe"):
        container.pop(part, None)
    template["spec"] |= {
        "activeDeadlineSeconds": READER_SECONDS,
        "terminationGracePeriodSeconds": 0,
    }
    labels = {"app.kubernetes.io/name": "distillery-reader", EXPERIMENT: experiment.metadata.name}
    metadata = {"name": name, "namespace": experiment.metadata.namespace, "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def _removing(experiment: Experiment, folders: Sequence[str], defaults: Defaults) -> dict[str, Any]:
    """Return a Job that removes folders; it needs a name."""
    launch = Launch(Stage.COLLECT, 0, 1)
    request = requests.order(experiment, launch, remove=folders)
    template = _frugal(pod_template.render(experiment, launch, request, defaults))
    spec = {"backoffLimit": 3, "ttlSecondsAfterFinished": COLLECT_SECONDS, "template": template}
    return jobs.wrapped(experiment, launch, defaults, spec)


def _frugal(template: dict[str, Any]) -> dict[str, Any]:
    """Return a pod that needs the volume and nothing else."""
    container, *_ = template["spec"]["containers"]
    container["resources"] = {"requests": {"cpu": "50m", "memory": "128Mi"}}
    template["spec"]["containers"] = [container]
    for part in ("initContainers", "resourceClaims"):
        template["spec"].pop(part, None)
    return template
