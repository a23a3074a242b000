"""PURE: Jobs and pods that need the trials' volume alone: they remove files, or read a model."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from distillery_contract.request import Stage
from distillery_operator.cluster import jobs, pod_template
from distillery_operator.cluster.kinds import Object
from distillery_operator.cluster.pod_template import ISTIO, UNMESHED, Defaults
from distillery_operator.engine import requests
from distillery_operator.engine.actions import Launch
from distillery_operator.resource.experiment import Experiment
from distillery_operator.resource.label_names import EXPERIMENT, REMOVES
from distillery_operator.trials.attempt import PENDING_TIMEOUT, Attempt, Removal

COLLECT_SECONDS: Final = 3600
"""Life of a Job that removes files, before its end and after it: one that has failed is begun anew
when it is gone, and what keeps its pod alive is ended."""

NAMES: Final = re.compile(r"\d{1,9}(/\d{1,10})?(,\d{1,9}(/\d{1,10})?)*")
"""What a Job removes the files of: trials by number, confirmations by number and seed."""

PLACES: Final = ("kubernetes.io/os", "kubernetes.io/arch", "kubernetes.io/hostname")
"""Labels of nodes that a pod which needs the volume alone may need as well."""

KUEUE: Final = "kueue.x-k8s.io/"
"""Prefix of labels and annotations by which a pod asks for a place in a queue."""

READER_SECONDS: Final = 3600
"""Life of a pod that only reads, should nobody delete it."""


def collection(
    experiment: Experiment,
    trials: Sequence[int],
    defaults: Defaults,
    runs: Sequence[tuple[int, int]] = (),
) -> dict[str, Any]:
    """Return the Job that removes files of trials and of confirmations, by trial and seed.

    It needs the volume and nothing else.
    """
    made = _removing(experiment, requests.disposable(experiment, trials, runs), defaults)
    names = [*map(str, sorted(trials)), *(f"{trial}/{seed}" for trial, seed in sorted(runs))]
    made["metadata"]["annotations"][REMOVES] = ",".join(names)
    made["metadata"]["name"] = jobs.collection_name(experiment, trials, runs)
    return made


def removal(experiment: Experiment, folders: Sequence[str], defaults: Defaults) -> dict[str, Any]:
    """Return the Job that removes folders of an experiment which is gone, or about to go.

    The experiment does not own it, or it would go first.
    """
    made = _removing(experiment, folders, defaults)
    del made["metadata"]["ownerReferences"]
    made["metadata"]["name"] = jobs.removal_name(experiment)
    return made


def removals(found: Iterable[tuple[Object, Attempt]]) -> list[Removal]:
    """Return the Jobs among these that remove files, with what they are as attempts."""
    known = []
    for job, attempt in found:
        names = (job["metadata"].get("annotations") or {}).get(REMOVES, "")
        if attempt.stage is Stage.COLLECT and NAMES.fullmatch(names):
            parts = [tuple(map(int, name.split("/"))) for name in names.split(",")]
            trials = tuple(part[0] for part in parts if len(part) == 1)
            runs = tuple((part[0], part[1]) for part in parts if len(part) > 1)
            known.append(Removal(trials, _late(attempt), runs))
    return known


def _late(attempt: Attempt) -> Attempt:
    if attempt.reason != PENDING_TIMEOUT:
        return attempt
    return replace(attempt, message=f"its Job did not end within {COLLECT_SECONDS} s")


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
    spec = {
        "activeDeadlineSeconds": COLLECT_SECONDS,
        "backoffLimit": 3,
        "ttlSecondsAfterFinished": COLLECT_SECONDS,
        "template": template,
    }
    return jobs.wrapped(experiment, launch, replace(defaults, queue=""), spec)


def _frugal(template: dict[str, Any]) -> dict[str, Any]:
    """Return a pod that needs the volume and nothing else: no GPU node, no queue, no mesh.

    A queue that lends GPUs may admit nothing else, and a GPU node may have to be started.
    """
    spec, (container, *_) = template["spec"], template["spec"]["containers"]
    container["resources"] = {"requests": {"cpu": "50m", "memory": "128Mi"}}
    spec["containers"] = [container]
    for part in (
        *("initContainers", "resourceClaims", "affinity", "topologySpreadConstraints"),
        *("runtimeClassName", "schedulerName", "schedulingGates"),
    ):
        spec.pop(part, None)
    if isinstance(selector := spec.get("nodeSelector"), dict):
        spec["nodeSelector"] = {k: v for k, v in selector.items() if k in PLACES}
    metadata = template["metadata"]
    for part in ("labels", "annotations"):
        given = metadata[part].items()
        metadata[part] = {k: v for k, v in given if not k.startswith(KUEUE) and k != ISTIO}
    metadata["labels"][ISTIO] = "false"
    metadata["annotations"] |= UNMESHED
    return template
