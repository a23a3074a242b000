"""The status of an experiment: to the API server, as metrics, and its changes as events."""

import asyncio
import logging
import time
from typing import Final

import pydantic

from distillery_operator.cluster.api import Api
from distillery_operator.cluster.cache import Cache
from distillery_operator.cluster.kinds import Key, Object
from distillery_operator.controller import events, finished, ownership
from distillery_operator.controller.event_writer import Announcer
from distillery_operator.controller.session import Session, findings
from distillery_operator.controller.settings import Settings
from distillery_operator.engine import statistics, status
from distillery_operator.engine.conditions import Finding
from distillery_operator.engine.reconcile import Pass
from distillery_operator.resource import yaml_files
from distillery_operator.resource.experiment import Experiment
from distillery_operator.resource.status import Status
from distillery_operator.results import trials_server
from distillery_operator.telemetry import experiment_metrics

log = logging.getLogger(__name__)

STATUS_SECONDS: Final = 2.0
"""Time between two writes of one status, as long as few experiments run."""
STATUS_SECONDS_EACH: Final = 0.3
"""Time that each further experiment adds, so that all statuses together are a light load."""


def pause(experiments: int) -> float:
    """Return the seconds between two writes of one status, for so many that are worked on."""
    return max(STATUS_SECONDS, STATUS_SECONDS_EACH * experiments)


def status_of(found: Object) -> Status | None:
    """Return the status that an experiment has; None if there is none, or one of another time.

    Without its owner, who is written apart.
    """
    try:
        return Status.model_validate(found["status"]).model_copy(update={"owner": None})
    except (KeyError, pydantic.ValidationError):
        return None


class StatusWriter:
    """Writes and shows statuses."""

    def __init__(self, api: Api, cache: Cache, announcer: Announcer, settings: Settings) -> None:
        self._api, self._cache, self._announcer = api, cache, announcer
        self._service = settings.trials_service
        self._shown = experiment_metrics.Experiments(settings.ended_series_days)

    def show(self, key: Key, experiment: Experiment, found: Status) -> None:
        """Show as metrics a status that stands as it is."""
        self._shown.show(key, experiment, found)

    def forget(self, key: Key) -> None:
        """Show nothing more of an experiment."""
        self._shown.forget(key)

    async def write(self, key: Key, session: Session, result: Pass, every: float) -> float | None:
        """Write the status if it changed; return after how many seconds it may be written.

        Args:
            key: names the experiment.
            session: of the experiment.
            result: what the visit saw and decided.
            every: least seconds between two writes.
        """
        early = session.written + every - time.monotonic()
        if early > 0:
            return early
        derived = await asyncio.to_thread(
            status.derive,
            session.experiment,
            result.seen,
            result.decision,
            session.status,
            findings(session, result.refused),
        )
        before = session.status.trials_path if session.status else None
        annotations = self._cache.experiments.get(key, {}).get("metadata", {}).get("annotations")
        rotation = trials_server.rotation(annotations)
        path = trials_server.path(self._service, key, before, rotation)
        generation = session.experiment.metadata.generation
        over = generation if finished.left_nothing(result) else None
        more = {"trials_path": path, "finished_generation": over, "release": finished.RELEASE}
        found = derived.model_copy(update=more)
        figured = await asyncio.to_thread(
            statistics.derive, session.experiment.spec, result.seen, result.decision.done
        )
        self._shown.show(key, session.experiment, found, figured)
        if found != session.status:
            for event in events.of_change(session.status, found):
                self._announcer.tell(vars(session.experiment.metadata), event)
            await self._api.apply_status(key, yaml_files.to_document(found))
            session.status, session.written = found, time.monotonic()
        session.restored_at = 0.0
        return None

    async def obstruct(
        self, key: Key, found: Object, session: Session | None, finding: Finding
    ) -> None:
        """Say in the status why nothing goes on; what was found before stands.

        Args:
            key: names the experiment.
            found: the experiment as the API server has it.
            session: of the experiment; None if there is none.
            finding: what stands in the way.
        """
        metadata = found["metadata"]
        before = session.status if session else status_of(found)
        limit = session.experiment.spec.max_trials if session else None
        after = status.obstructed(metadata["generation"], limit, before, finding, time.time())
        self._shown.show_obstructed(key, metadata, after)
        if after == before:
            return
        for event in events.of_change(before, after):
            self._announcer.tell(metadata, event)
        await self._api.apply_status(key, yaml_files.to_document(after))
        if session:
            session.status = after
        kept = {**yaml_files.to_document(after), "owner": ownership.owner(found)}
        self._cache.experiments[key] = {**found, "status": kept}

    async def deleting(self, key: Key, found: Object, waits: str) -> None:
        """Say in the status what the deletion of an experiment waits for."""
        before, generation = status_of(found), found["metadata"]["generation"]
        after = status.deleting(generation, before, waits, time.time())
        if after != before:
            log.info("%s: its deletion waits for: %s", "/".join(key), waits)
            await self._api.apply_status(key, yaml_files.to_document(after))
