"""Asks why attempts wait: those who know say it in events, and Kueue in Workloads.

Neither is watched, for a cluster has many of both and few are ever read. An experiment asks at most
``OBJECTS`` + 1 times in ``AGAIN_SECONDS``, and only while something has waited for
``PATIENCE_SECONDS``: what waits by one template mostly waits for the same.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from distillery_operator.cluster import objects, queues
from distillery_operator.cluster.api import Api
from distillery_operator.cluster.kinds import Object
from distillery_operator.errors import ApiUnavailable, Refused
from distillery_operator.trials.attempt import NO_POD, NO_SCHEDULER, QUEUED, STARTING, Attempt

PATIENCE_SECONDS: Final = 30.0
"""Time that a wait is nothing to ask about."""

AGAIN_SECONDS: Final = 60.0
"""Time between two rounds of questions."""

REFUSED_SECONDS: Final = 600.0
"""Time for which a question is not repeated that the API server does not answer: there is no such
API, or the operator may not read it."""

OBJECTS: Final = 3
"""Jobs and pods whose events are read in one round, those that have waited longest."""

JOBS: Final = 50
"""Jobs whose Workloads are read in one round, by one list: their uids stand in its URL."""

WORKLOADS: Final = ("v1beta2", "v1beta1")
"""Versions of Kueue's API, the newest first."""

Waiting = tuple[Sequence[Object], Attempt]
"""A Job, its pods, and the attempt that they are."""

Words = tuple[str, str]
"""A reason in one word, and a sentence."""


class _About(NamedTuple):
    """What is asked about: a Job or a pod, and what it waits for as far as it shows."""

    reason: str
    uid: str


class WaitReasons:
    """Why the attempts of one experiment wait."""

    def __init__(self, api: Api, namespace: str) -> None:
        """Ask this API server, in this namespace."""
        self._api = api
        self._namespace = namespace
        self._due = 0.0
        self._refused: dict[str, float] = {}
        self._said: Mapping[_About, Words] = {}

    async def explained(self, known: Iterable[Waiting], now: float) -> list[Attempt]:
        """Return attempts with what is said of those that wait.

        Args:
            known: attempts with their objects.
            now: seconds since the epoch.
        """
        known = list(known)
        asked = {about: each for each in known if (about := _about(*each)) is not None}
        old = [a for a in asked if _waited(asked[a][1], now) >= PATIENCE_SECONDS]
        if old and time.monotonic() >= self._due:
            self._due = time.monotonic() + AGAIN_SECONDS
            old.sort(key=lambda about: -_waited(asked[about][1], now))
            await self._ask({about: asked[about] for about in old})
        return [self._told(attempt, _about(found, attempt)) for found, attempt in known]

    def _told(self, attempt: Attempt, about: _About | None) -> Attempt:
        if about is None or about not in self._said:
            return attempt
        reason, message = self._said[about]
        return replace(attempt, reason=reason, message=message)

    async def _ask(self, asked: Mapping[_About, Waiting]) -> None:
        queued = [about for about in asked if about.reason == QUEUED]
        unseen = {a: words for a, each in asked.items() if (words := _unscheduled(*each))}
        others = [about for about in asked if about not in unseen and about.reason != QUEUED]
        said = dict(unseen)
        try:
            if queued:
                said.update(await self._workloads(queued[:JOBS]))
            for about in others[:OBJECTS]:
                if words := await self._events(about.uid, asked[about][1].message):
                    said[about] = words
        except ApiUnavailable:
            return  # what was said before stands
        self._said = said

    async def _workloads(self, jobs: Sequence[_About]) -> Mapping[_About, Words]:
        uids = ",".join(about.uid for about in jobs)
        selector = {"labelSelector": f"{queues.JOB_UID} in ({uids})"}
        for version in WORKLOADS:
            group = f"/apis/kueue.x-k8s.io/{version}"
            path = f"{group}/namespaces/{self._namespace}/workloads"
            found = await self._list("workloads", path, selector)
            if found is not None:
                known = queues.by_job(found)
                waits = {a: known.get(a.uid) for a in jobs}
                return {a: queues.waits(w) if w else queues.UNMADE for a, w in waits.items()}
        return {}

    async def _events(self, uid: str, generic: str) -> Words | None:
        path = f"/api/v1/namespaces/{self._namespace}/events"
        selector = {"fieldSelector": f"involvedObject.uid={uid},type=Warning"}
        found = await self._list("events", path, selector)
        # A pod that starts has its node: what a scheduler said before is over.
        found = [event for event in found or [] if event.get("reason") != "FailedScheduling"]
        if not found:
            return None
        last = max(found, key=_when)
        reason, message = last.get("reason", ""), last.get("message", "")
        return reason, f"{generic.partition(';')[0]}: {reason}: {message}"

    async def _list(
        self, resource: str, path: str, query: Mapping[str, str]
    ) -> list[dict[str, Any]] | None:
        """Return objects; None where the API server does not give them."""
        if time.monotonic() < self._refused.get(path, 0.0):
            return None
        try:
            return await self._api.items(resource, path, query)
        except Refused:
            self._refused[path] = time.monotonic() + REFUSED_SECONDS
            return None


def _about(found: Sequence[Object], attempt: Attempt) -> _About | None:
    """Return what to ask about: the Job, or the pod that does not start; None for nothing."""
    if attempt.reason == STARTING:
        asked = next(o for o in found[1:] if o["metadata"]["name"] == attempt.pod)
    elif attempt.reason in (QUEUED, NO_POD):
        asked = found[0]
    else:
        return None
    uid = asked["metadata"].get("uid")  # none of a Job that no watch has shown yet
    return _About(attempt.reason, uid) if uid else None


def _unscheduled(found: Sequence[Object], attempt: Attempt) -> Words | None:
    """Return what is said of a pod that no scheduler has looked at."""
    for pod in found[1:]:
        spec = pod["spec"]
        if pod["metadata"]["name"] == attempt.pod and "nodeName" not in spec:
            if objects.condition(pod, "PodScheduled"):
                return None
            name = spec.get("schedulerName", "default-scheduler")
            return NO_SCHEDULER, f"no scheduler takes the pod: there must be one named {name}"
    return None


def _waited(attempt: Attempt, now: float) -> float:
    since = attempt.created if attempt.waiting_since is None else attempt.waiting_since
    return now - since if since is not None else 0.0


def _when(event: Mapping[str, Any]) -> str:
    """Return when an event was seen last, as text of one form."""
    series = event.get("series") or {}
    times = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    return next((str(time)[:19] for time in times if time), "")
