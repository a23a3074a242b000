"""What the watches have shown last: experiments, and the Jobs and pods that matter.

Decisions are made from here instead of from lists, so that no call grows with an experiment. What
is here may be late. It is never wrong in a way that hurts: a Job that is missing here is created
again under its own name, which the API server refuses; one that has ended stays ended.
"""

import re
from collections.abc import Iterable
from typing import Any, Final

from distillery_contract.request import Stage
from distillery_operator.cluster import objects
from distillery_operator.cluster.kinds import Key, Kind, Object
from distillery_operator.resource import label_names
from distillery_operator.resource.experiment import study_of

JOB_NAME: Final = "batch.kubernetes.io/job-name"
"""Label that the Job controller gives to its pods."""

OF_ATTEMPTS: Final = (Stage.PREPARE, Stage.TRAIN, Stage.TEST, Stage.CONFIRM, Stage.COLLECT)
"""Stages that run in Jobs."""

NUMBER: Final = re.compile("[0-9]{1,9}")


class Cache:
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
        if label_names.TOLD in metadata["labels"]:
            return self._forget(kind, key, found)
        slim = _job(found) if kind is Kind.JOB else _pod(found)
        table = self._table(kind).setdefault(key, {})
        if table.get(metadata["name"]) == slim:
            return None
        table[metadata["name"]] = slim
        return key

    def drop(self, kind: Kind, found: Object) -> Key | None:
        """Forget an object; return the experiment to look at.

        A pod that has ended is kept until its Job goes: it alone says when and how it ended, and
        the Job controller lets go of deleted pods before it calls their Job finished. One that was
        forgotten here, for its ending is stored, does not come back: watches show it as deleted
        when it gets the label.
        """
        metadata = found["metadata"]
        if kind is Kind.EXPERIMENT:
            key = Key(metadata["namespace"], metadata["name"])
            if not _same(self.experiments.get(key), found):
                return None
            del self.experiments[key]
            return key
        owner = self._owner(found)
        if owner is None or not self._holds(kind, owner, found):
            return None
        if kind is Kind.POD and objects.terminal(found) and self._job_of(owner, found):
            return self.put(kind, found)
        return self._forget(kind, owner, found)

    def presses(self, kind: Kind, found: Object, *, gone: bool) -> bool:
        """Tell whether an object may free a slot; most changes only alter what a status shows.

        A Job that has finished frees its slot then, not when it is gone as well.
        """
        if kind is Kind.JOB and objects.finished(found):
            return not gone
        if kind is Kind.EXPERIMENT or gone or "deletionTimestamp" in found["metadata"]:
            return True
        if kind is Kind.JOB:
            return False
        owner = self._owner(found)
        job = owner and self._job_of(owner, found)
        return bool(job and objects.finished(job) and objects.terminal(found))

    def jobs(self, key: Key, uid: str) -> list[Object]:
        """Return the Jobs of an experiment whose trials are not told."""
        return _of(self._jobs.get(key, {}).values(), uid)

    def live_jobs(self, key: Key) -> int:
        """Count the attempts of an experiment that live, as Jobs."""
        jobs = self._jobs.get(key, {}).values()
        return sum(
            job["metadata"]["labels"][label_names.STAGE] != Stage.COLLECT
            and not objects.finished(job)
            for job in jobs
        )

    def pods(self, key: Key, uid: str) -> list[Object]:
        """Return the pods of an experiment."""
        return _of(self._pods.get(key, {}).values(), uid)

    def matters(self, key: Key, uid: str) -> bool:
        """Tell whether anything of an experiment lives, or has an ending that is not stored.

        Jobs of other stages stay for a while after their end, and nobody looks at them again.
        """
        jobs = [j for j in self.jobs(key, uid) if _trains(j) or not objects.finished(j)]
        pods = [pod for pod in self.pods(key, uid) if not objects.terminal(pod)]
        return bool(jobs or pods or self.held(key))

    def held(self, key: Key) -> list[Object]:
        """Return the pods of all experiments of a name that are held for their metrics."""
        return [pod for pod in self._pods.get(key, {}).values() if objects.held(pod)]

    def known(self, kind: Kind) -> dict[str, tuple[Key, Object]]:
        """Return every object by its uid; no ended pods, which may be gone from the cluster."""
        if kind is Kind.EXPERIMENT:
            return {o["metadata"]["uid"]: (key, o) for key, o in self.experiments.items()}
        tables = self._table(kind).items()
        found = ((key, o) for key, table in tables for o in table.values())
        return {
            o["metadata"]["uid"]: (key, o)
            for key, o in found
            if kind is Kind.JOB or not objects.terminal(o)
        }

    def lacks(self, kind: Kind, found: Object) -> bool:
        """Tell whether an object matters and is not known: not yet shown, or missed by a watch."""
        metadata = found["metadata"]
        if "deletionTimestamp" in metadata:
            return False
        if kind is Kind.EXPERIMENT:
            key = Key(metadata["namespace"], metadata["name"])
            return not _same(self.experiments.get(key), found)
        owner = self._owner(found)
        ended = kind is Kind.POD and objects.terminal(found)
        if owner is None or ended or label_names.TOLD in metadata["labels"]:
            return False
        return not self._holds(kind, owner, found)

    def lose(self, kind: Kind, key: Key, found: Object) -> None:
        """Forget an object that is gone although no watch has shown its end."""
        if kind is not Kind.EXPERIMENT:
            self._forget(kind, key, found)
        elif _same(self.experiments.get(key), found):
            del self.experiments[key]

    def leave(self, namespace: str) -> dict[Key, Object]:
        """Forget everything of a namespace; return the experiments that it had."""
        had = {key: found for key, found in self.experiments.items() if key.namespace == namespace}
        for table in (self.experiments, self._jobs, self._pods):
            for key in [key for key in table if key.namespace == namespace]:
                del table[key]
        return had

    def forget_pods(self, key: Key, names: Iterable[str]) -> None:
        """Drop pods that nobody asks for any more."""
        _remove(self._pods, key, names)

    def _put_experiment(self, key: Key, found: Object) -> Key | None:
        before = self.experiments.get(key)
        self.experiments[key] = found
        return None if before is not None and _essence(before) == _essence(found) else key

    def _table(self, kind: Kind) -> dict[Key, dict[str, Object]]:
        return self._jobs if kind is Kind.JOB else self._pods

    def _holds(self, kind: Kind, owner: Key, found: Object) -> bool:
        """Tell whether this very Job or pod is known."""
        return _same(self._table(kind).get(owner, {}).get(found["metadata"]["name"]), found)

    def _forget(self, kind: Kind, owner: Key, found: Object) -> Key | None:
        if not self._holds(kind, owner, found):
            return None
        table, name = self._table(kind), found["metadata"]["name"]
        _remove(table, owner, [name])
        if kind is Kind.JOB:
            pods = self._pods.get(owner, {}).items()
            self.forget_pods(owner, [n for n, p in pods if _job_name(p) == name and _is_over(p)])
        return owner

    def _job_of(self, owner: Key, pod: Object) -> Object | None:
        return self._jobs.get(owner, {}).get(_job_name(pod) or "")

    @staticmethod
    def _owner(found: Object) -> Key | None:
        """Return the experiment that a Job or a pod of an attempt belongs to.

        Anybody may create objects with such labels: those that name no attempt are nobody's.
        """
        metadata = found["metadata"]
        labels = metadata.get("labels") or {}
        if labels.get(label_names.STAGE) not in OF_ATTEMPTS:
            return None
        if label_names.EXPERIMENT not in labels or label_names.EXPERIMENT_UID not in labels:
            return None
        number, attempt = labels.get(label_names.TRIAL, ""), labels.get(label_names.ATTEMPT, "")
        if not NUMBER.fullmatch(number) or not NUMBER.fullmatch(attempt):
            return None
        return Key(metadata["namespace"], labels[label_names.EXPERIMENT])


def _same(known: Object | None, found: Object) -> bool:
    """Tell whether what is known is this very object, not another one of its name.

    A watch's events are in order for one object, not between an object and its successor.
    """
    return known is not None and known["metadata"]["uid"] == found["metadata"]["uid"]


def _essence(experiment: Object) -> tuple[Any, ...]:
    """Return what of an experiment asks for a visit: itself, its spec, its end, study and owner."""
    metadata, status = experiment["metadata"], experiment.get("status") or {}
    fields = [metadata.get(name) for name in ("uid", "generation", "deletionTimestamp")]
    wanted = (metadata.get("annotations") or {}).get(label_names.OWNER)
    return (*fields, study_of(metadata), wanted, status.get("owner"))


def _trains(job: Object) -> bool:
    return Stage(job["metadata"]["labels"][label_names.STAGE]).trains


def _is_over(pod: Object) -> bool:
    """Tell whether a pod has ended, and its last words with it."""
    return objects.terminal(pod) and not objects.held(pod)


def _remove(table: dict[Key, dict[str, Object]], owner: Key, names: Iterable[str]) -> None:
    for name in names:
        table.get(owner, {}).pop(name, None)
    if not table.get(owner):
        table.pop(owner, None)


def _job_name(pod: Object) -> str | None:
    name: str | None = pod["metadata"]["labels"].get(JOB_NAME)
    return name


def _of(objects: Iterable[Object], uid: str) -> list[Object]:
    return [o for o in objects if o["metadata"]["labels"][label_names.EXPERIMENT_UID] == uid]


def _job(found: Object) -> Object:
    status = found.get("status") or {}
    return {
        "metadata": _pick(
            found["metadata"], "name", "uid", "labels", "annotations", "creationTimestamp"
        ),
        "spec": _pick(found["spec"], "suspend", "activeDeadlineSeconds"),
        "status": _pick(status, "startTime", "conditions"),
    }


def _pod(found: Object) -> Object:
    status = found.get("status") or {}
    telling = ["PodScheduled", "DisruptionTarget"]
    if objects.unanswered(found):  # else readiness says nothing that a decision rests on
        telling += ["Ready", "ContainersReady"]
    conditions = [
        _pick(c, "type", "status", "reason", "message")
        for c in status.get("conditions") or []
        if c["type"] in telling
    ]
    kept = ("name", "image", "imageID", "state")
    containers = [_pick(c, *kept) for c in status.get("containerStatuses") or []]
    before = [_pick(c, *kept) for c in status.get("initContainerStatuses") or []]
    deletion = ("deletionTimestamp", "deletionGracePeriodSeconds")
    made_for = (label_names.REQUEST, label_names.GENERATION, label_names.IMAGE)
    return {
        "metadata": {
            **_pick(
                found["metadata"],
                *("name", "uid", "labels", "creationTimestamp", "finalizers"),
                *deletion,
            ),
            "annotations": _pick(found["metadata"].get("annotations") or {}, *made_for),
        },
        "spec": _pick(found["spec"], "nodeName", "schedulerName"),
        "status": {
            **_pick(status, "phase", "reason", "message", "podIP"),
            "conditions": conditions,
            "containerStatuses": containers,
            "initContainerStatuses": before,
        },
    }


def _pick(part: Object, *keys: str) -> dict[str, Any]:
    return {key: part[key] for key in keys if key in part}
