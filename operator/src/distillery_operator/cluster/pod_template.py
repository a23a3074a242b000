"""PURE: a trial's pod, made by the template that a user gives."""

import hashlib
import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Final

from distillery_contract import wire
from distillery_contract.request import Request, Stage
from distillery_operator.cluster import accelerators, documents
from distillery_operator.cluster.documents import TRAINER
from distillery_operator.engine.actions import Launch
from distillery_operator.resource.experiment import Experiment
from distillery_operator.resource.label_names import (
    ATTEMPT,
    EXPERIMENT,
    EXPERIMENT_UID,
    METRICS,
    STAGE,
    TRIAL,
)
from distillery_operator.resource.spec import MetricsDurability

THREADS: Final = "OMP_NUM_THREADS"
WORKSPACE: Final = "workspace"
"""Name of the volume that all trials of an experiment share."""
WORKSPACE_PATH: Final = "/workspace"

USER: Final = 65532
"""User and group of the trainer's image."""

GRACE_SECONDS: Final = 120
"""Time that a trainer has to write its checkpoint."""

START_SECONDS: Final = 1800
"""Time that a pod may take on its node for volumes, image and init containers."""

ISTIO: Final = "sidecar.istio.io/inject"
UNMESHED: Final = {"linkerd.io/inject": "disabled"}
"""What keeps the proxies of meshes out of pods, unless a template says otherwise: trainings need
none, and a proxy that is an ordinary container never ends."""


@dataclass(frozen=True)
class Defaults:
    """What the operator adds where a template is silent.

    Attributes:
        image: of the trainer.
        claim: PersistentVolumeClaim of the workspace, in each experiment's namespace; empty for
            none.
        retention_seconds: life of a Job after its trial's ending is stored.
        queue: that Jobs wait in, of Kueue, unless their template names another; empty for none.
        accounts: service accounts that a template may name besides its namespace's default one:
            whoever may create an experiment acts by them.
        private: Secrets and claims of the operator that no template may name, as
            ``namespace/name``.
        credentials: whether a template may have API tokens, and what is private, all the same.
        template: of all experiments, below the template of each.
    """

    image: str
    claim: str = ""
    retention_seconds: int = 24 * 3600
    queue: str = ""
    accounts: tuple[str, ...] = ()
    private: tuple[str, ...] = ()
    credentials: bool = False
    template: Mapping[str, Any] = field(default_factory=dict)


def digest(experiment: Experiment, defaults: Defaults) -> str:
    """Return what tells templates apart: all that a pod that still waits could be made of."""
    shaping = [experiment.spec.template, defaults.image, defaults.claim, defaults.queue]
    text = json.dumps(shaping, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def image(experiment: Experiment, defaults: Defaults) -> str:
    """Return the image of the trials' trainer."""
    pod = documents.part(experiment.spec.template, "spec")
    return str(documents.trainer(pod).get("image") or defaults.image)


def gpus(experiment: Experiment) -> int:
    """Return how many accelerators, whole ones or slices, one trial occupies."""
    pod = documents.part(experiment.spec.template, "spec")
    return accelerators.count(documents.trainer(pod))


def render(
    experiment: Experiment, launch: Launch, request: Request, defaults: Defaults
) -> dict[str, Any]:
    """Return the pod template of an attempt: what a user gave, and what the operator adds."""
    given = deepcopy(experiment.spec.template)
    metadata, spec = documents.part(given, "metadata"), documents.part(given, "spec")
    labels = {
        **_without_mesh(metadata),
        **documents.part(metadata, "labels"),
        "app.kubernetes.io/name": "distillery-trial",
        "app.kubernetes.io/instance": experiment.metadata.name,
        "app.kubernetes.io/managed-by": "distillery",
        EXPERIMENT: experiment.metadata.name,
        EXPERIMENT_UID: experiment.metadata.study,
        STAGE: str(launch.stage),
        TRIAL: str(launch.trial),
        ATTEMPT: str(launch.number),
    }
    container = _container(documents.trainer(spec), request, defaults)
    others = [c for c in documents.items(spec, "containers") if c.get("name") != TRAINER]
    volumes, known = documents.items(spec, "volumes"), documents.names(spec, "volumes")
    if WORKSPACE not in known:
        claim = {"claimName": defaults.claim}
        volumes.append({"name": WORKSPACE, "persistentVolumeClaim": claim})
    if "tmp" not in known:
        volumes.append({"name": "tmp", "emptyDir": {}})
    return {
        "metadata": {
            "labels": labels,
            "annotations": {**UNMESHED, **documents.part(metadata, "annotations")},
            **_finalizers(experiment, launch),
        },
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": GRACE_SECONDS,
            **_deadline(experiment, launch),
            **spec,
            "restartPolicy": "Never",
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": USER,
                "runAsGroup": USER,
                "fsGroup": USER,
                "fsGroupChangePolicy": "OnRootMismatch",
                "seccompProfile": {"type": "RuntimeDefault"},
                **documents.part(spec, "securityContext"),
            },
            "containers": [container, *others],
            "volumes": volumes,
        },
    }


def _without_mesh(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Return the label that keeps Istio's proxy out; it would stand above an annotation."""
    return {} if ISTIO in documents.part(metadata, "annotations") else {ISTIO: "false"}


def _finalizers(experiment: Experiment, launch: Launch) -> dict[str, list[str]]:
    """Return what holds the pod of a training; a preparation or a test is simply repeated."""
    strict = experiment.spec.metrics_durability is MetricsDurability.STRICT
    return {"finalizers": [METRICS]} if strict and launch.stage.trains else {}


def _deadline(experiment: Experiment, launch: Launch) -> dict[str, int]:
    """Return the pod's own limit, for times when no operator runs to end a trial at its limit.

    A Job's limit would count the wait for a node as well.
    """
    seconds = experiment.spec.trial_timeout_seconds
    if not (launch.stage.trains or launch.stage is Stage.TEST) or seconds is None:
        return {}
    return {"activeDeadlineSeconds": seconds + START_SECONDS}


def _container(given: Mapping[str, Any], request: Request, defaults: Defaults) -> dict[str, Any]:
    mounts = documents.items(given, "volumeMounts")
    names, places = documents.names(given, "volumeMounts"), [m.get("mountPath") for m in mounts]
    for name, path in ((WORKSPACE, WORKSPACE_PATH), ("tmp", "/tmp")):
        if name not in names and path not in places:
            mounts.append({"name": name, "mountPath": path})
    ours = (wire.REQUEST, wire.METRICS_PORT)
    # The kubelet replaces $(NAME) in values and takes $$ for $.
    text = request.to_json().replace("$", "$$")
    return {
        "image": defaults.image,
        "workingDir": WORKSPACE_PATH,
        **given,
        "name": TRAINER,
        "terminationMessagePath": wire.DEFAULT_TERMINATION_MESSAGE,
        "terminationMessagePolicy": "File",
        "env": [
            *(_threads(given) if request.stage in (Stage.TRAIN, Stage.TEST) else []),
            *(e for e in documents.items(given, "env") if e.get("name") not in ours),
            {"name": wire.REQUEST, "value": text},
            {"name": wire.METRICS_PORT, "value": str(wire.DEFAULT_METRICS_PORT)},
        ],
        "ports": [
            *(p for p in documents.items(given, "ports") if p.get("name") != "metrics"),
            {"name": "metrics", "containerPort": wire.DEFAULT_METRICS_PORT, "protocol": "TCP"},
        ],
        "volumeMounts": mounts,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            **documents.part(given, "securityContext"),
        },
    }


def _threads(given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what bounds a training's threads by the cores it asks for: more of them spin.

    A preparation runs alone.
    """
    resources = documents.part(given, "resources")
    asks = any("cpu" in documents.part(resources, kind) for kind in ("requests", "limits"))
    if not asks or THREADS in documents.names(given, "env"):
        return []
    return [{"name": THREADS, "valueFrom": {"resourceFieldRef": {"resource": "requests.cpu"}}}]
