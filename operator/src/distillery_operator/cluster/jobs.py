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
from typing import Any, Final

from distillery_contract.request import Request, Stage
from distillery_operator.cluster import pod_template
from distillery_operator.cluster.documents import TRAINER
from distillery_operator.cluster.pod_template import Defaults
from distillery_operator.engine import requests
from distillery_operator.engine.actions import Launch
from distillery_operator.resource.experiment import Experiment
from distillery_operator.resource.label_names import GENERATION, IMAGE, QUEUE, REQUEST, TEMPLATE

UNTOLD_SECONDS: Final = 7 * 24 * 3600
"""Life of a finished Job that nobody has read: an operator may be down over a long weekend."""


STEM: Final = 40
"""Characters of an experiment's name in the names of its objects, which have at most 63."""
MARK: Final = 8
"""Characters of the digest that stands for the rest of a longer name."""


def stem(name: str) -> str:
    """Return what names of an experiment's objects begin with: its name, or its beginning."""
    if len(name) <= STEM:
        return name
    rest = hashlib.sha256(name.encode()).hexdigest()[:MARK]
    return f"{name[: STEM - MARK - 1]}-{rest}"


def _named(experiment: Experiment, what: str) -> str:
    return f"{stem(experiment.metadata.name)}-{experiment.metadata.study[:8]}-{what}"


def name(experiment: Experiment, launch: Launch) -> str:
    """Return the Job's name: the same for the same attempt, so that none is created twice."""
    short = {Stage.TRAIN: "", Stage.TEST: "test", Stage.CONFIRM: "seed"}
    what = str(launch.stage)
    if launch.stage in short:
        what = f"{short[launch.stage]}{launch.trial:05d}"
    return _named(experiment, f"{what}-{launch.number}")


def collection_name(
    experiment: Experiment, trials: Sequence[int], runs: Sequence[tuple[int, int]] = ()
) -> str:
    """Return the name of the Job that removes files of trials and of confirmations."""
    names = [*sorted(trials), *sorted(runs)]
    several = hashlib.sha256(json.dumps(names).encode()).hexdigest()[:8]
    return _named(experiment, f"gc-{several}")


def removal_name(experiment: Experiment) -> str:
    """Return the name of the Job that removes the folders of an experiment which is gone."""
    return _named(experiment, "delete")


def job(
    experiment: Experiment, launch: Launch, request: Request, defaults: Defaults
) -> dict[str, Any]:
    """Return the Job of an attempt, to be created once and never applied again."""
    template = pod_template.render(experiment, launch, request, defaults)
    template["metadata"]["annotations"] |= {  # of the Job too, which its pod may outlive
        REQUEST: requests.digest(request),
        GENERATION: str(experiment.metadata.generation),
        IMAGE: pod_template.image(experiment, defaults),
    }
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
    return wrapped(experiment, launch, defaults, spec)


def trial(experiment: Experiment, defaults: Defaults) -> dict[str, Any]:
    """Return a Job as trials have it, for a dry run."""
    launch = Launch(Stage.TRAIN, 0, 1)
    made = job(experiment, launch, requests.order(experiment, launch), defaults)
    made["metadata"]["name"] = _named(experiment, "check")
    return made


def pod(rendered: Mapping[str, Any]) -> dict[str, Any]:
    """Return the Pod that a Job would make, for a dry run: admission rules bind pods, not Jobs."""
    template = deepcopy(rendered["spec"]["template"])
    job = rendered["metadata"]
    names = {"namespace": job["namespace"], "generateName": f"{job['name']}-"}
    metadata = {**template["metadata"], **names}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def wrapped(
    experiment: Experiment, launch: Launch, defaults: Defaults, spec: dict[str, Any]
) -> dict[str, Any]:
    """Return a Job of an experiment, which owns it; its spec has a pod template."""
    owner = {
        "apiVersion": experiment.api_version,
        "kind": experiment.kind,
        "name": experiment.metadata.name,
        "uid": experiment.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
    metadata = spec["template"]["metadata"]  # a queue's label counts on the Job itself
    queue = {QUEUE: defaults.queue} if defaults.queue else {}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name(experiment, launch),
            "namespace": experiment.metadata.namespace,
            "labels": {**queue, **metadata["labels"]},
            "annotations": {
                **metadata["annotations"],
                TEMPLATE: pod_template.digest(experiment, defaults),
            },
            "ownerReferences": [owner],
        },
        "spec": spec,
    }
