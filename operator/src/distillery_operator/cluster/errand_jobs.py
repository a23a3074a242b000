"""EDGE: a Job that removes files: started, waited for, started again where it failed.

What it removes counts as gone once it has succeeded, and not before.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Final

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
    ending = objects.finished(job)
    if ending is not None and ending["type"] == "Complete":
        return True
    said = ending.get("message", "") if ending is not None else await _waits(api, name, job)
    if ending is not None:
        await api.delete(Kind.JOB, name)
        raise Refused("Failed", f"the Job {name.name}, which removes files, has failed: {said}")
    if said:
        raise Refused("Waiting", f"the Job {name.name}, which removes files, waits: {said}")
    return False


async def _waits(api: Api, name: Key, job: Object) -> str:
    """Say what an errand waits for that has not begun for a while; nothing while all is well."""
    made = objects.seconds(job["metadata"]["creationTimestamp"])
    if made is None or time.time() - made < SLOW_SECONDS:
        return ""
    if job["spec"].get("suspend"):
        return "it is suspended, for example by its queue"
    found = api.found(Kind.POD, name.namespace, f"{JOB_NAME}={name.name}")
    pod = objects.youngest([pod async for pod in found])
    if pod is None:
        return f"it has no pod yet; `kubectl describe job {name.name}` says why"
    return attempts.waits_for(pod)
