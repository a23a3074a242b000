"""PURE: what is wrong with a pod template, beyond what the API server checks."""

from collections.abc import Iterator, Mapping
from functools import reduce
from typing import Any, Final

from distillery_operator.cluster import accelerators, documents, template_rights
from distillery_operator.cluster.documents import TRAINER
from distillery_operator.cluster.pod_template import WORKSPACE, Defaults
from distillery_operator.resource import sentences
from distillery_operator.resource.experiment import GROUP, Experiment

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


def faults(experiment: Experiment, defaults: Defaults) -> list[str]:
    """Return why no trial can run by a template, beyond what the API server checks.

    Only what is sound here is rendered; the rest must be told here, for no server sees it.
    """
    template = experiment.spec.template
    metadata, spec = documents.part(template, "metadata"), documents.part(template, "spec")
    found = [
        f"spec.template.{field}: no such field;"
        " known are metadata.labels, metadata.annotations and spec"
        for field in (
            *(key for key in template if key not in ("metadata", "spec")),
            *(f"metadata.{key}" for key in metadata if key not in ("labels", "annotations")),
        )
    ]
    found += _misshapen("spec.template", template, OF_TEMPLATE)
    found += _misshapen(
        f"spec.template.spec.containers[{TRAINER}]", documents.trainer(spec), OF_TRAINER
    )
    found += [
        f"spec.template.metadata.{part}.{key}: must not begin with {GROUP}/"
        for part in ("labels", "annotations")
        for key in documents.part(metadata, part)
        if key.startswith(f"{GROUP}/")
    ]
    if WORKSPACE not in documents.names(spec, "volumes") and not defaults.claim:
        found.append(
            f"spec.template.spec.volumes: must have one named {WORKSPACE}, which all trials share,"
            " because the operator has no default claim"
        )
    found += _strangers(spec, defaults)
    found += _misplaced(spec)
    if not defaults.credentials:
        found += [
            f"spec.template.spec.{path}: {rule}"
            for path, rule in template_rights.faults(
                spec, experiment.metadata.namespace, defaults.private
            )
        ]
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
        value = reduce(documents.part, parents, document).get(key)
        sound = isinstance(value, dict) if shape is OBJECT else documents.is_list_of_objects(value)
        if value is not None and not sound:
            yield f"{where}.{path}: must be {shape}, but got {sentences.shown(value)}"


def _misplaced(spec: Mapping[str, Any]) -> Iterator[str]:
    """Yield what would leave the trainer without what the template means for it."""
    containers = documents.items(spec, "containers")
    trainers = [c for c in containers if c.get("name") == TRAINER]
    if len(trainers) > 1:
        yield (
            f"spec.template.spec.containers: must have one container named {TRAINER} at most,"
            f" but got {len(trainers)}"
        )
    shared = any(accelerators.claims(trainer) for trainer in trainers)
    for container in containers:
        if container.get("name") == TRAINER:
            continue
        wanted: object = accelerators.asked(container)
        if not wanted and not shared:  # a claim may be shared with the container that trains
            wanted = accelerators.claims(container)
        if wanted:
            yield (
                f"spec.template.spec.containers[{container.get('name')}].resources: must ask for no"
                f" accelerator, because the container that trains is named {TRAINER},"
                f" but got {sentences.shown(wanted)}"
            )
