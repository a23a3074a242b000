"""What the watches have shown last: experiments, and the Jobs and pods that matter.

Decisions are made from here instead of from lists, so that no call grows with an experiment. What
is here may be late. It is never wrong in a way that hurts: a Job that is missing here is created
again under its own name, which the API server refuses; one that has ended stays ended.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, Final, NamedTuple

from distillery_contract.request import Stage
from distillery_operator import manifests

Object = Mapping[str, Any]

JOB_NAME: Final = "batch.kubernetes.io/job-name"
"""Label that the Job controller gives to its pods."""


class Key(NamedTuple):
    """Names an experiment."""

    namespace: str
    name: str


class Kind(StrEnum):
    """What is watched."""

    EXPERIMENT = "DistillationExperiment"
    JOB = "Job"
    POD = "Pod"


class Mirror:
    """The objects by experiment; only the parts of Jobs and pods that decisions read."""

    def __init__(self) -> None:
        self.experiments: dict[Key, Object] = {}
        self._jobs: dict[Key, dict[str, Object]] = {}
        self._pods: dict[Key, dict[str, Object]] = {}

    def put(self, kind: Kind, found: Object) -> Key | None:
        """Take in an object; return the experiment to look at, or None if nothing changed."""
        metadata = found["metadata"]
        if kind is Kind.EXPERIMENT:
            return self._put_experiment(Key(metadata["namespace"], metadata["name"]), found)
        key = self._owner(found)
        if key is None:
            return None
        if manifests.TOLD in metadata["labels"]:
            return self.drop(kind, found)
        slim = _job(found) if kind is Kind.JOB else _pod(found)
        table = self._table(kind).setdefault(key, {})
        if table.get(metadata["name"]) == slim:
            return None
        table[metadata["name"]] = slim
        return key

    def drop(self, kind: Kind, found: Object) -> Key | None:
        """Forget an object; return the experiment to look at."""
        metadata = found["metadata"]
        if kind is Kind.EXPERIMENT:
            key = Key(metadata["namespace"], metadata["name"])
            self.experiments.pop(key, None)
            return key
        owner = self._owner(found)
        if owner is None or self._table(kind).get(owner, {}).pop(metadata["name"], None) is None:
            return None
        if not self._table(kind)[owner]:
            del self._table(kind)[owner]
        return owner

    def jobs(self, key: Key, uid: str) -> list[Object]:
        """Return the Jobs of an experiment whose trials are not told."""
        return _of(self._jobs.get(key, {}).values(), uid)

    def pods(self, key: Key, uid: str) -> list[Object]:
        """Return the pods of an experiment."""
        return _of(self._pods.get(key, {}).values(), uid)

    def forget_pods(self, key: Key, names: Iterable[str]) -> None:
        """Drop pods that nobody asks for any more."""
        table = self._pods.get(key, {})
        for name in names:
            table.pop(name, None)

    def _put_experiment(self, key: Key, found: Object) -> Key | None:
        before = self.experiments.get(key)
        self.experiments[key] = found
        same = before is not None and all(
            before["metadata"].get(field) == found["metadata"].get(field)
            for field in ("uid", "generation", "deletionTimestamp")
        )
        return None if same else key

    def _table(self, kind: Kind) -> dict[Key, dict[str, Object]]:
        return self._jobs if kind is Kind.JOB else self._pods

    @staticmethod
    def _owner(found: Object) -> Key | None:
        """Return the experiment that a Job or a pod of an attempt belongs to."""
        metadata = found["metadata"]
        labels = metadata.get("labels") or {}
        if labels.get(manifests.STAGE) not in (Stage.PREPARE, Stage.TRAIN):
            return None
        return Key(metadata["namespace"], labels[manifests.EXPERIMENT])


def _of(objects: Iterable[Object], uid: str) -> list[Object]:
    return [o for o in objects if o["metadata"]["labels"][manifests.EXPERIMENT_UID] == uid]


def _job(found: Object) -> Object:
    status = found.get("status") or {}
    return {
        "metadata": _pick(found["metadata"], "name", "labels", "annotations"),
        "spec": _pick(found["spec"], "suspend"),
        "status": _pick(status, "startTime", "conditions"),
    }


def _pod(found: Object) -> Object:
    status = found.get("status") or {}
    conditions = [
        _pick(c, "type", "status", "reason", "message")
        for c in status.get("conditions") or []
        if c["type"] in ("PodScheduled", "DisruptionTarget")
    ]
    containers = [_pick(c, "name", "image", "state") for c in status.get("containerStatuses") or []]
    before = [_pick(c, "name", "state") for c in status.get("initContainerStatuses") or []]
    return {
        "metadata": _pick(found["metadata"], "name", "labels", "creationTimestamp"),
        "status": {
            **_pick(status, "phase", "reason", "message", "podIP"),
            "conditions": conditions,
            "containerStatuses": containers,
            "initContainerStatuses": before,
        },
    }


def _pick(part: Object, *keys: str) -> dict[str, Any]:
    return {key: part[key] for key in keys if key in part}
