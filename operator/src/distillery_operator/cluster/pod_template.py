"""PURE: a pod template as a user gives it: what is wrong with it, and a trial's pod made by it."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass
from functools import reduce
from typing import Any, Final, TypeGuard

from distillery_contract import wire
from distillery_contract.request import Request, Stage
from distillery_operator.engine.actions import Launch
from distillery_operator.resource import sentences
from distillery_operator.resource.experiment import GROUP, Experiment
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
TRAINER: Final = "trainer"
"""Name of the container that speaks the contract."""
WORKSPACE: Final = "workspace"
"""Name of the volume that all trials of an experiment share."""
WORKSPACE_PATH: Final = "/workspace"

USER: Final = 65532
"""User and group of the trainer's image."""

GRACE_SECONDS: Final = 120
"""Time that a trainer has to write its checkpoint."""

OBJECT: Final = "an object"
OBJECTS: Final = "a list of objects"
OF_TEMPLATE: Final = {
    "metadata": OBJECT,
    "metadata.labels": OBJECT,
    "metadata.annotations": OBJECT,
    "spec": OBJECT,
    "spec.securityContext": OBJECT,
    "spec.volumes": OBJECTS,
    "spec.containers": OBJECTS,
}
OF_TRAINER: Final = {
    "resources": OBJECT,
    "resources.limits": OBJECT,
    "resources.requests": OBJECT,
    "securityContext": OBJECT,
    "env": OBJECTS,
    "ports": OBJECTS,
    "volumeMounts": OBJECTS,
}
"""Shapes of the parts of a template that are added to; the API server sees the others as given."""

START_SECONDS: Final = 1800
"""Time that a pod may take on its node for volumes, image and init containers."""

GPU: Final = re.compile(
    r"nvidia\.com/(gpu(\.shared)?|mig-.+)|amd\.com/gpu|gpu\.intel\.com/(i915|xe)"
    r"|habana\.ai/gaudi|google\.com/tpu"
)
"""Names of accelerators; others of the same makers count memory or shares of one."""


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
    """

    image: str
    claim: str = ""
    retention_seconds: int = 24 * 3600
    queue: str = ""
    accounts: tuple[str, ...] = ()


def digest(experiment: Experiment, defaults: Defaults) -> str:
    """Return what tells templates apart."""
    text = json.dumps([experiment.spec.template, asdict(defaults)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def faults(experiment: Experiment, defaults: Defaults) -> list[str]:
    """Return why no trial can run by a template, beyond what the API server checks.

    Only what is sound here is rendered; the rest must be told here, for no server sees it.
    """
    template = experiment.spec.template
    metadata, spec = _part(template, "metadata"), _part(template, "spec")
    found = [
        f"spec.template.{field}: no such field;"
        " known are metadata.labels, metadata.annotations and spec"
        for field in (
            *(key for key in template if key not in ("metadata", "spec")),
            *(f"metadata.{key}" for key in metadata if key not in ("labels", "annotations")),
        )
    ]
    found += _misshapen("spec.template", template, OF_TEMPLATE)
    found += _misshapen(f"spec.template.spec.containers[{TRAINER}]", _trainer(spec), OF_TRAINER)
    found += [
        f"spec.template.metadata.{part}.{key}: must not begin with {GROUP}/"
        for part in ("labels", "annotations")
        for key in _part(metadata, part)
        if key.startswith(f"{GROUP}/")
    ]
    if WORKSPACE not in _names(spec, "volumes") and not defaults.claim:
        found.append(
            f"spec.template.spec.volumes: must have one named {WORKSPACE}, which all trials share,"
            " because the operator has no default claim"
        )
    found += _strangers(spec, defaults)
    restart = spec.get("restartPolicy", "Never")
    if restart != "Never":
        found.append(
            "spec.template.spec.restartPolicy: must be Never or absent,"
            f" but got {sentences.shown(restart)}"
        )
    return found


def _strangers(spec: Mapping[str, Any], defaults: Defaults) -> Iterator[str]:
    """Yield the service accounts that a template must not name, in the field or its old name."""
    allowed = ["default", *defaults.accounts]
    for field in ("serviceAccountName", "serviceAccount"):
        if (account := spec.get(field)) and account not in allowed:
            yield (
                f"spec.template.spec.{field}: must be one that the operator allows trials,"
                f" {sentences.shown(allowed)}, but got {sentences.shown(account)}"
            )


def _misshapen(where: str, document: Mapping[str, Any], shapes: Mapping[str, str]) -> Iterator[str]:
    """Yield the parts of which the API server would take another shape."""
    for path, shape in shapes.items():
        *parents, key = path.split(".")
        value = reduce(_part, parents, document).get(key)
        sound = isinstance(value, dict) if shape is OBJECT else _is_list_of_objects(value)
        if value is not None and not sound:
            yield f"{where}.{path}: must be {shape}, but got {sentences.shown(value)}"


def gpus(experiment: Experiment) -> int:
    """Return how many accelerators, whole ones or slices, one trial occupies."""
    trainer = _trainer(_part(experiment.spec.template, "spec"))
    limits = _part(_part(trainer, "resources"), "limits")
    counts = [str(n) for resource, n in limits.items() if GPU.fullmatch(resource)]
    return sum(int(n) for n in counts if n.isdecimal())


def render(
    experiment: Experiment, launch: Launch, request: Request, defaults: Defaults
) -> dict[str, Any]:
    """Return the pod template of an attempt: what a user gave, and what the operator adds."""
    given = deepcopy(experiment.spec.template)
    metadata, spec = _part(given, "metadata"), _part(given, "spec")
    labels = {
        **_without_mesh(metadata),
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
    container = _container(_trainer(spec), request, defaults)
    others = [c for c in _items(spec, "containers") if c.get("name") != TRAINER]
    volumes, known = _items(spec, "volumes"), _names(spec, "volumes")
    if WORKSPACE not in known:
        claim = {"claimName": defaults.claim}
        volumes.append({"name": WORKSPACE, "persistentVolumeClaim": claim})
    if "tmp" not in known:
        volumes.append({"name": "tmp", "emptyDir": {}})
    return {
        "metadata": {
            "labels": labels,
            "annotations": {**UNMESHED, **_part(metadata, "annotations")},
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
                **_part(spec, "securityContext"),
            },
            "containers": [container, *others],
            "volumes": volumes,
        },
    }


def _without_mesh(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Return the label that keeps Istio's proxy out; it would stand above an annotation."""
    return {} if ISTIO in _part(metadata, "annotations") else {ISTIO: "false"}


def _finalizers(experiment: Experiment, launch: Launch) -> dict[str, list[str]]:
    """Return what holds a trial's pod; a preparation is simply repeated."""
    strict = experiment.spec.metrics_durability is MetricsDurability.STRICT
    return {"finalizers": [METRICS]} if strict and launch.stage is Stage.TRAIN else {}


def _deadline(experiment: Experiment, launch: Launch) -> dict[str, int]:
    """Return the pod's own limit, for times when no operator runs to end a trial at its limit.

    A Job's limit would count the wait for a node as well.
    """
    seconds = experiment.spec.trial_timeout_seconds
    if launch.stage is not Stage.TRAIN or seconds is None:
        return {}
    return {"activeDeadlineSeconds": seconds + START_SECONDS}


def _container(given: Mapping[str, Any], request: Request, defaults: Defaults) -> dict[str, Any]:
    mounts = _items(given, "volumeMounts")
    names, places = _names(given, "volumeMounts"), [m.get("mountPath") for m in mounts]
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
            *(_threads(given) if request.stage is Stage.TRAIN else []),
            *(e for e in _items(given, "env") if e.get("name") not in ours),
            {"name": wire.REQUEST, "value": text},
            {"name": wire.METRICS_PORT, "value": str(wire.DEFAULT_METRICS_PORT)},
        ],
        "ports": [
            *(p for p in _items(given, "ports") if p.get("name") != "metrics"),
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


def _threads(given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what bounds a training's threads by the cores it asks for: more of them spin.

    A preparation runs alone.
    """
    resources = _part(given, "resources")
    asks = any("cpu" in _part(resources, kind) for kind in ("requests", "limits"))
    if not asks or THREADS in _names(given, "env"):
        return []
    return [{"name": THREADS, "valueFrom": {"resourceFieldRef": {"resource": "requests.cpu"}}}]


def _trainer(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a pod's own container named trainer, or nothing."""
    return next((c for c in _items(spec, "containers") if c.get("name") == TRAINER), {})


def _part(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return a nested object; nothing where there is none."""
    part = document.get(key)
    return part if isinstance(part, dict) else {}


def _items(document: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """Return a nested list of objects; nothing where there is none."""
    part = document.get(key)
    return list(part) if _is_list_of_objects(part) else []


def _names(document: Mapping[str, Any], key: str) -> list[Any]:
    return [item.get("name") for item in _items(document, key)]


def _is_list_of_objects(value: object) -> TypeGuard[list[Mapping[str, Any]]]:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)
