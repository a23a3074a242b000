"""The part of the API server that errands need, in memory: a Job ends when a test says so."""

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

from distillery_operator.cluster.kinds import Key, Kind
from distillery_operator.errors import Refused

Object = dict[str, Any]


class Server:
    """Jobs by name, and the pods of all of them.

    Attributes:
        refusal: what the API server says to each Job that is to be made; empty if it takes them.
        patched: the bodies of all patches.
    """

    def __init__(self) -> None:
        self.jobs: dict[Key, Object] = {}
        self.pods: list[Object] = []
        self.created: list[str] = []
        self.refusal = ""
        self.patched: list[Mapping[str, Any]] = []

    async def get(self, _: Kind, key: Key) -> Object:
        if key not in self.jobs:
            raise Refused("NotFound", "there is none")
        return self.jobs[key]

    async def patch(self, _: Kind, __: Key, body: Mapping[str, Any]) -> None:
        self.patched.append(body)

    async def dry_run(self, _: Kind, __: Mapping[str, Any]) -> None:
        if self.refusal:
            raise Refused("Forbidden", self.refusal)

    async def create(self, _: Kind, body: Mapping[str, Any]) -> bool:
        await self.dry_run(_, body)
        metadata = body["metadata"]
        now = datetime.now(UTC).isoformat()
        made = {**body, "metadata": {**metadata, "creationTimestamp": now}}
        self.jobs[Key(metadata["namespace"], metadata["name"])] = made
        self.created.append(metadata["name"])
        return True

    async def delete(
        self, _: Kind, key: Key, uid: str | None = None, version: str | None = None
    ) -> None:
        known = self.jobs.get(key, {"metadata": {}})["metadata"]
        if uid in (None, known.get("uid")) and version in (None, known.get("resourceVersion")):
            self.jobs.pop(key, None)

    async def found(self, *_: object) -> AsyncIterator[Object]:
        for pod in self.pods:
            yield pod

    async def items(self, *_: object) -> list[Object]:
        return []

    def end(self, kind: str, message: str = "") -> None:
        for job in self.jobs.values():
            job["status"] = {"conditions": [{"type": kind, "status": "True", "message": message}]}

    def age(self) -> None:
        for job in self.jobs.values():
            job["metadata"]["creationTimestamp"] = "2026-11-24T10:00:00Z"
