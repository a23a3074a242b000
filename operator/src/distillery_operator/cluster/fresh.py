"""A fresh look at attempts, for what the watches have shown may be late."""

from collections.abc import Mapping

from distillery_operator.cluster.api import Api
from distillery_operator.cluster.attempts import JOB_UID
from distillery_operator.cluster.cache import JOB_NAME, Cache
from distillery_operator.cluster.kinds import Key, Kind, Object
from distillery_operator.errors import Refused


class Fresh:
    """Reads Jobs and pods of one experiment from the API server, and takes them in."""

    def __init__(self, api: Api, cache: Cache, experiment: Key, uid: str) -> None:
        """Look for what is of an experiment.

        Args:
            api: the API server.
            cache: takes in what is found.
            experiment: its name.
            uid: that its Jobs and pods have as a label.
        """
        self._api = api
        self._cache = cache
        self._experiment = experiment
        self._uid = uid
        self._looked_for: set[str] = set()

    async def begun(self, jobs: Mapping[str, str]) -> None:
        """Look once for each Job that has begun and that no watch has shown.

        Args:
            jobs: their names, by their uids. A uid that is gone does not come back.
        """
        key, uid = self._experiment, self._uid
        shown = {job["metadata"]["uid"] for job in self._cache.jobs(key, uid)}
        shown |= {pod["metadata"]["labels"].get(JOB_UID) for pod in self._cache.pods(key, uid)}
        for one in jobs.keys() - shown - self._looked_for:
            await self.job(jobs[one])
            self._looked_for.add(one)

    async def job(self, name: str) -> tuple[Object | None, list[Object]]:
        """Return the experiment's Job of a name, as it is now, and its pods; None without one."""
        try:
            found = await self._api.get(Kind.JOB, Key(self._experiment.namespace, name))
        except Refused as refusal:
            if refusal.reason != "NotFound":
                raise
            return None, await self._pods(name)
        self._cache.put(Kind.JOB, found)
        own = [job["metadata"]["name"] for job in self._cache.jobs(self._experiment, self._uid)]
        return (found if name in own else None), await self._pods(name)

    async def pods(self, job: str) -> list[Object]:
        """Ask once for the pods of a finished Job: their watch may lag behind that of Jobs."""
        if job in self._looked_for:
            return []
        pods = await self._pods(job)
        self._looked_for.add(job)
        return pods

    def forget(self, job: str) -> None:
        """Drop that the pods of a Job were asked for."""
        self._looked_for.discard(job)

    async def _pods(self, job: str) -> list[Object]:
        found = self._api.found(Kind.POD, self._experiment.namespace, f"{JOB_NAME}={job}")
        pods = [pod async for pod in found]
        for pod in pods:
            self._cache.put(Kind.POD, pod)
        return pods
