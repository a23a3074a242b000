"""PURE: an attempt as a batch/v1 Job, rendered from the experiment's pod template.

One Job is one attempt: its pod is never replaced, and whatever ends it is written into the Job's
own condition, which outlives the pod. So a pod that was evicted or preempted fails its Job too (the
policy names the disruption), and the next attempt is Distillery's decision, under a limit of its
own: a Job that replaced its pods by itself would not say how often it did.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from typing import Any, Final

from distillery_contract import wire
from distillery_contract.request import Request, Stage
from distillery_operator import jobs
from distillery_operator.actions import Launch
from distillery_operator.resources import Experiment

DOMAIN: Final = "distillery.dev"
EXPERIMENT: Final = f"{DOMAIN}/experiment"
EXPERIMENT_UID: Final = f"{DOMAIN}/experiment-uid"
STAGE: Final = f"{DOMAIN}/stage"
TRIAL: Final = f"{DOMAIN}/trial"
ATTEMPT: Final = f"{DOMAIN}/attempt"
TOLD: Final = f"{DOMAIN}/told"
"""Label of a Job whose trial's ending is stored: no longer listed, kept for its log."""
TEMPLATE: Final = f"{DOMAIN}/template"
"""Annotation of a Job: digest of the pod template that it was rendered from."""
HALTED: Final = f"{DOMAIN}/halted"
"""Annotation of a Job: why its pod was asked to end."""

TRAINER: Final = "trainer"
"""Name of the container that speaks the contract."""
WORKSPACE: Final = "workspace"
"""Name of the volume that all trials of an experiment share."""
WORKSPACE_PATH: Final = "/workspace"

UNTOLD_SECONDS: Final = 7 * 24 * 3600
"""Life of a finished Job that nobody has read: an operator may be down over a long weekend."""
COLLECT_SECONDS: Final = 3600

USER: Final = 65532
"""User and group of the trainer's image."""

GRACE_SECONDS: Final = 120
"""Time that a trainer has to write its checkpoint."""

GPU: Final = ("nvidia.com/", "amd.com/gpu", "gpu.intel.com/", "habana.ai/", "google.com/tpu")
"""How the names of accelerators begin."""


@dataclass(frozen=True)
class Defaults:
    """What the operator adds where a template is silent.

    Attributes:
        image: of the trainer.
        claim: PersistentVolumeClaim of the workspace, in each experiment's namespace; empty for
            none.
        retention_seconds: life of a Job after its trial's ending is stored.
    """

    image: str
    claim: str = ""
    retention_seconds: int = 24 * 3600


def name(experiment: Experiment, launch: Launch) -> str:
    """Return the Job's name: the same for the same attempt, so that none is created twice."""
    what = f"{launch.trial:05d}" if launch.stage is Stage.TRAIN else str(launch.stage)
    return f"{experiment.metadata.name}-{experiment.metadata.uid[:8]}-{what}-{launch.number}"


def digest(experiment: Experiment, defaults: Defaults) -> str:
    """Return what tells templates apart."""
    text = json.dumps([experiment.spec.template, asdict(defaults)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def faults(experiment: Experiment, defaults: Defaults) -> list[str]:
    """Return why no trial can run by a template, beyond what the API server checks."""
    found = []
    spec = _part(experiment.spec.template, "spec")
    volumes = [v.get("name") for v in spec.get("volumes") or [] if isinstance(v, dict)]
    if WORKSPACE not in volumes and not defaults.claim:
        found.append(
            f"spec.template.spec.volumes: must have one named {WORKSPACE}, which all trials share,"
            " because the operator has no default claim"
        )
    restart = spec.get("restartPolicy", "Never")
    if restart != "Never":
        found.append(
            f"spec.template.spec.restartPolicy: must be Never or absent, but got {restart!r}"
        )
    containers = spec.get("containers")
    if containers is not None and not (
        isinstance(containers, list) and all(isinstance(c, dict) for c in containers)
    ):
        found.append("spec.template.spec.containers: must be a list of containers")
    return found


def gpus(experiment: Experiment) -> int:
    """Return how many accelerators, whole ones or slices, one trial occupies."""
    limits = _part(_part(_trainer(experiment), "resources"), "limits")
    counts = [str(n) for resource, n in limits.items() if resource.startswith(GPU)]
    return sum(int(n) for n in counts if n.isdecimal())


def job(
    experiment: Experiment, launch: Launch, request: Request, defaults: Defaults
) -> dict[str, Any]:
    """Return the Job of an attempt, to be created once and never applied again."""
    template = _template(experiment, launch, request, defaults)
    policy = [
        {"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {
            "action": "FailJob",
            "onExitCodes": {"containerName": TRAINER, "operator": "NotIn", "values": [0]},
        },
    ]
    spec: dict[str, Any] = {
        "backoffLimit": 0,
        "podFailurePolicy": {"rules": policy},
        "podReplacementPolicy": "Failed",
        "ttlSecondsAfterFinished": UNTOLD_SECONDS,
        "template": template,
    }
    if launch.stage is Stage.TRAIN and experiment.spec.trial_timeout_seconds is not None:
        # Distillery ends the trial at its limit; this holds while no operator runs.
        spec["activeDeadlineSeconds"] = experiment.spec.trial_timeout_seconds + GRACE_SECONDS
    return _job(experiment, launch, defaults, spec)


def trial(experiment: Experiment, defaults: Defaults) -> dict[str, Any]:
    """Return a Job as trials have it, for a dry run."""
    launch = Launch(Stage.TRAIN, 0, 1)
    made = job(experiment, launch, jobs.order(experiment, launch), defaults)
    made["metadata"]["name"] = f"{experiment.metadata.name}-{experiment.metadata.uid[:8]}-check"
    return made


def collection(experiment: Experiment, trials: Sequence[int], defaults: Defaults) -> dict[str, Any]:
    """Return the Job that removes the files of trials; it needs the volume, but no GPU."""
    launch = Launch(Stage.COLLECT, 0, 1)
    request = jobs.order(experiment, launch, remove=jobs.disposable(experiment, trials))
    template = _template(experiment, launch, request, defaults)
    (container,) = [c for c in template["spec"]["containers"] if c["name"] == TRAINER]
    container["resources"] = {"requests": {"cpu": "50m", "memory": "128Mi"}}
    spec = {"backoffLimit": 3, "ttlSecondsAfterFinished": COLLECT_SECONDS, "template": template}
    made = _job(experiment, launch, defaults, spec)
    several = hashlib.sha256(json.dumps(sorted(trials)).encode()).hexdigest()[:8]
    made["metadata"]["name"] += f"-{several}"
    return made


def pod(rendered: Mapping[str, Any]) -> dict[str, Any]:
    """Return the Pod that a Job would make, for a dry run: admission rules bind pods, not Jobs."""
    template = deepcopy(rendered["spec"]["template"])
    job = rendered["metadata"]
    names = {"namespace": job["namespace"], "generateName": f"{job['name']}-"}
    metadata = {**template["metadata"], **names}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def _job(
    experiment: Experiment, launch: Launch, defaults: Defaults, spec: dict[str, Any]
) -> dict[str, Any]:
    owner = {
        "apiVersion": experiment.api_version,
        "kind": experiment.kind,
        "name": experiment.metadata.name,
        "uid": experiment.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
    metadata = spec["template"]["metadata"]  # a queue's label counts on the Job itself
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name(experiment, launch),
            "namespace": experiment.metadata.namespace,
            "labels": metadata["labels"],
            "annotations": {**metadata["annotations"], TEMPLATE: digest(experiment, defaults)},
            "ownerReferences": [owner],
        },
        "spec": spec,
    }


def _template(
    experiment: Experiment, launch: Launch, request: Request, defaults: Defaults
) -> dict[str, Any]:
    given = deepcopy(experiment.spec.template)
    metadata, spec = _part(given, "metadata"), _part(given, "spec")
    labels = {
        **_part(metadata, "labels"),
        "app.kubernetes.io/name": "distillery-trial",
        "app.kubernetes.io/instance": experiment.metadata.name,
        "app.kubernetes.io/managed-by": "distillery",
        EXPERIMENT: experiment.metadata.name,
        EXPERIMENT_UID: experiment.metadata.uid,
        STAGE: str(launch.stage),
        TRIAL: str(launch.trial),
        ATTEMPT: str(launch.number),
    }
    container = _container(_trainer(experiment), request, defaults)
    others = [c for c in spec.get("containers") or [] if c.get("name") != TRAINER]
    volumes = list(spec.get("volumes") or [])
    known = {v.get("name") for v in volumes}
    if WORKSPACE not in known:
        claim = {"claimName": defaults.claim}
        volumes.append({"name": WORKSPACE, "persistentVolumeClaim": claim})
    if "tmp" not in known:
        volumes.append({"name": "tmp", "emptyDir": {}})
    return {
        "metadata": {"labels": labels, "annotations": dict(_part(metadata, "annotations"))},
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": GRACE_SECONDS,
            **spec,
            "restartPolicy": "Never",
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": USER,
                "runAsGroup": USER,
                "fsGroup": USER,
                "fsGroupChangePolicy": "OnRootMismatch",
                "seccompProfile": {"type": "RuntimeDefault"},
                **_part(spec, "securityContext"),
            },
            "containers": [container, *others],
            "volumes": volumes,
        },
    }


def _container(given: Mapping[str, Any], request: Request, defaults: Defaults) -> dict[str, Any]:
    mounts = list(given.get("volumeMounts") or [])
    known = {m.get("name") for m in mounts}
    paths = {WORKSPACE: WORKSPACE_PATH, "tmp": "/tmp"}
    mounts += [{"name": n, "mountPath": p} for n, p in paths.items() if n not in known]
    ours = {wire.REQUEST, wire.METRICS_PORT}
    return {
        "image": defaults.image,
        "workingDir": WORKSPACE_PATH,
        **given,
        "name": TRAINER,
        "terminationMessagePath": wire.DEFAULT_TERMINATION_MESSAGE,
        "terminationMessagePolicy": "File",
        "env": [
            *(e for e in given.get("env") or [] if e.get("name") not in ours),
            {"name": wire.REQUEST, "value": request.to_json()},
            {"name": wire.METRICS_PORT, "value": str(wire.DEFAULT_METRICS_PORT)},
        ],
        "ports": [
            *(p for p in given.get("ports") or [] if p.get("name") != "metrics"),
            {"name": "metrics", "containerPort": wire.DEFAULT_METRICS_PORT, "protocol": "TCP"},
        ],
        "volumeMounts": mounts,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            **_part(given, "securityContext"),
        },
    }


def _trainer(experiment: Experiment) -> Mapping[str, Any]:
    """Return the template's own container named trainer, or nothing."""
    containers = _part(experiment.spec.template, "spec").get("containers") or []
    return next((c for c in containers if c.get("name") == TRAINER), {})


def _part(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return a nested object; nothing where there is none."""
    part = document.get(key)
    return part if isinstance(part, dict) else {}
