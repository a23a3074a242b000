"""EDGE: a Job that removes files: started, waited for, started again where it failed.

What it removes counts as gone once it has succeeded, and not before.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Final

from distillery_contract.wire import Exit
from distillery_operator.cluster import attempts, objects
from distillery_operator.cluster.api import Api
from distillery_operator.cluster.cache import JOB_NAME
from distillery_operator.cluster.kinds import Key, Kind, Object
from distillery_operator.errors import Refused

SLOW_SECONDS: Final = 60.0
"""Time after which an errand that has not begun says what it waits for."""


async def done(api: Api, name: Key, make: Callable[[], Awaitable[Object]]) -> bool:
    """Tell whether the errand of a name has succeeded; start it if it is not there.

    Args:
        api: the API server.
        name: of its Job.
        make: returns the Job.

    Raises:
        Refused: the API server refuses the Job, it has failed and is removed so that it starts
            again, or it has waited for long: with the words that say why.
    """
    try:
        job = await api.get(Kind.JOB, name)
    except Refused as refusal:
        if refusal.reason != "NotFound":
            raise
        await api.create(Kind.JOB, await make())
        return False
    pod = None if objects.finished(job) else await _pod(api, name)
    end = _end(job, pod)
    if end is None:
        if said := _waits(name, job, pod):
            raise Refused("Waiting", f"the Job {name.name}, which removes files, waits: {said}")
        return False
    if end:
        await api.delete(Kind.JOB, name)
        raise Refused("Failed", f"the Job {name.name}, which removes files, has failed: {end}")
    return True


async def _pod(api: Api, name: Key) -> Object | None:
    """Return the youngest pod of an errand."""
    found = api.found(Kind.POD, name.namespace, f"{JOB_NAME}={name.name}")
    return objects.youngest([pod async for pod in found])


def _end(job: Object, pod: Object | None) -> str | None:
    """Return why an errand failed, or nothing if it succeeded; None while it has not ended.

    What a webhook has put beside its container may keep its pod alive.
    """
    if ending := objects.finished(job):
        return "" if ending["type"] == "Complete" else ending.get("message", "nobody says why")
    if pod is None or not objects.lingering(pod):
        return None
    code = objects.terminated(pod)["exitCode"]
    return "" if code == Exit.OK else f"its container ended with exit code {code}"


def _waits(name: Key, job: Object, pod: Object | None) -> str:
    """Say what an errand waits for that has not begun for a while; nothing while all is well."""
    made = objects.seconds(job["metadata"]["creationTimestamp"])
    if made is None or time.time() - made < SLOW_SECONDS:
        return ""
    if job["spec"].get("suspend"):
        return "it is suspended, for example by its queue"
    if pod is None:
        return f"it has no pod yet; `kubectl describe job {name.name}` says why"
    return attempts.waits_for(pod)
