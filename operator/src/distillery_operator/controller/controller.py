"""One visit of one experiment on a cluster: what ``reconcile`` is called with, and what is told.

Keeps between two visits only what can be found again: the open study, the status written last, and
whether the API server takes the pod template.
"""

import gc
import time
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from distillery_operator.cluster import marks
from distillery_operator.cluster.api import Api
from distillery_operator.cluster.cache import Cache
from distillery_operator.cluster.kinds import Key
from distillery_operator.cluster.runner import Runner, let_go
from distillery_operator.controller import caps, events, finished, ownership, status_writer
from distillery_operator.controller.claims import Claims
from distillery_operator.controller.deletion import Deletion
from distillery_operator.controller.event_writer import Announcer
from distillery_operator.controller.session import Session
from distillery_operator.controller.settings import Settings
from distillery_operator.controller.status_writer import StatusWriter, status_of
from distillery_operator.controller.work_queue import WorkQueue
from distillery_operator.engine import conditions
from distillery_operator.engine.conditions import Finding
from distillery_operator.engine.ports import Ports
from distillery_operator.engine.reasons import PROGRAM_FAULT
from distillery_operator.engine.reconcile import Pass
from distillery_operator.engine.visit import AGAIN_SECONDS, Visitor, goes_on
from distillery_operator.errors import (
    DatabaseUnavailable,
    DistilleryError,
    InvalidExperiment,
    Refused,
    StudyMismatch,
    StudyMissing,
)
from distillery_operator.measurements.reports import Measurements
from distillery_operator.measurements.scraping import Scraper
from distillery_operator.resource import parsing
from distillery_operator.resource.experiment import Experiment, study_of
from distillery_operator.resource.status import ConditionType, Status
from distillery_operator.search import optuna_samplers
from distillery_operator.study.database import Database
from distillery_operator.study.study import Study
from distillery_operator.study.tables import Storage
from distillery_operator.study.workers import Workers
from distillery_operator.telemetry import operator_metrics, pass_metrics, timed_study

DELETION_SECONDS: Final = 5.0
"""Time between two looks at an experiment that is being deleted."""

VISIT_SECONDS: Final = 300.0
"""Time between two visits to an experiment in which nothing happens."""


class Controller:
    """Visits experiments; for one event loop."""

    def __init__(
        self,
        api: Api,
        cache: Cache,
        queue: WorkQueue[Key],
        *,
        database: Database,
        workers: Workers,
        scraper: Scraper,
        announcer: Announcer,
        settings: Settings,
    ) -> None:
        """Work with these.

        Args:
            api: the API server.
            cache: what the watches have shown.
            queue: gets experiments to look at again.
            database: of the studies.
            workers: threads of the studies.
            scraper: reads the trials' metrics.
            announcer: tells what happens.
            settings: how the operator was started.
        """
        self._api = api
        self._cache = cache
        self._queue = queue
        self._database = database
        self._workers = workers
        self._scraper = scraper
        self._announcer = announcer
        self._settings = settings
        self._deletion = Deletion(api, cache, database, workers, settings.defaults)
        self._sessions: dict[Key, Session] = {}
        self._claims = Claims(api, announcer, settings.identity)
        self._statuses = StatusWriter(api, cache, announcer, settings)

    @property
    def status_seconds(self) -> float:
        """Return the time between two writes of one status."""
        return status_writer.pause(len(self._sessions))

    async def visit(self, key: Key) -> float | None:
        """Look at one experiment; return after how many seconds it wants the next look."""
        begun = time.monotonic()
        result = "error"
        found = self._cache.experiments.get(key)
        try:
            delay = None
            if found is None:
                await self._forget(key)
            elif "deletionTimestamp" in found["metadata"]:
                delay = await self._delete(key, found)
            else:
                delay = await self._look(key, found)
            result = "done" if delay is None else "requeue"
            return delay
        except DistilleryError:
            raise
        except Exception as fault:
            if found is not None:
                await self._tell_of(fault, key, found)
            raise
        finally:
            operator_metrics.RECONCILES.labels(result).inc()
            operator_metrics.RECONCILE_SECONDS.observe(time.monotonic() - begun)

    async def _tell_of(self, fault: Exception, key: Key, found: Mapping[str, Any]) -> None:
        """Say in the status that the program itself has failed at an experiment."""
        said = (
            f"the operator cannot look at this experiment: {type(fault).__name__}: {fault}; this is"
            " a fault of the program, so please report it with the lines of the operator's log;"
            " processes that run continue, and so do other experiments"
        )
        finding = Finding(ConditionType.VISITED, "False", PROGRAM_FAULT, said)
        with suppress(DistilleryError):  # the fault itself is what the log must have
            await self._statuses.obstruct(key, found, self._sessions.get(key), finding)

    async def close(self) -> None:
        """Close the studies and end the scrapes."""
        for key in list(self._sessions):
            await self._leave(key)

    async def _look(self, key: Key, found: Mapping[str, Any]) -> float | None:
        if (wait := await self._claims.settle(key, found)) is not None:
            await self._leave(key)
            self._statuses.forget(key)
            return wait
        try:
            experiment = self._parse(key, found)
            unmarked = await _unless_refused(marks.hold(self._api, found, experiment))
            if key not in self._sessions and self._stays_finished(key, found, experiment):
                return None
            session = await self._enter(key, experiment, found)
            unmarked += await _unless_refused(marks.name_study(self._api, found, experiment))
            return await self._work(key, session, unmarked)
        except (InvalidExperiment, StudyMismatch) as error:
            reason = "ImmutableField" if isinstance(error, StudyMismatch) else "InvalidExperiment"
            finding = Finding(ConditionType.ACCEPTED, "False", reason, str(error))
            await self._statuses.obstruct(key, found, self._sessions.get(key), finding)
            return None
        except DatabaseUnavailable as error:
            missing = isinstance(error, StudyMissing)
            if not missing:
                operator_metrics.STORAGE_ERRORS.inc()
            kind = ConditionType.STORAGE_REACHABLE
            reason = "StudyMissing" if missing else "DatabaseUnavailable"
            finding = Finding(kind, "False", reason, str(error))
            await self._statuses.obstruct(key, found, self._sessions.get(key), finding)
            raise

    def _stays_finished(self, key: Key, found: Mapping[str, Any], experiment: Experiment) -> bool:
        """Tell whether nothing is left to do, so that the study need not be read."""
        status, service = status_of(found), self._settings.trials_service
        if not finished.stays(key, found, experiment, status, cache=self._cache, service=service):
            return False
        assert status is not None
        self._statuses.show(key, experiment, status)
        return True

    def _parse(self, key: Key, found: Mapping[str, Any]) -> Experiment:
        """Return the experiment as it is now, parsed once for each generation."""
        session, metadata = self._sessions.get(key), found["metadata"]
        known = session and session.experiment
        if (
            known
            and known.metadata.uid == metadata["uid"]
            and known.metadata.generation == metadata["generation"]
            and known.metadata.study == study_of(metadata)
        ):
            return known
        experiment = parsing.parse(found)
        if faults := optuna_samplers.lacking(experiment.spec):
            raise InvalidExperiment(faults)
        return experiment

    async def _enter(self, key: Key, experiment: Experiment, found: Mapping[str, Any]) -> Session:
        """Return the session of an experiment, which is another one if it was created anew."""
        session = self._sessions.get(key)
        if session and _identity(session.experiment) != _identity(experiment):
            await self._forget(key)
            session = None
        if session is None:
            now, before = time.time(), status_of(found)
            with timed_study.timed("open"):
                place = self._database.storage_of(found["metadata"])
                study = timed_study.observed(
                    await Study.open(
                        place,
                        experiment,
                        now,
                        self._workers,
                        cluster=self._settings.cluster,
                        begun=before.start_time if before else None,
                    )
                )
            experiment = await study.own(experiment)
            session = self._session(key, experiment, study, before)
            self._sessions[key] = session
            # Its trials stay. With 60,000 of them, each collection of everything would stop the
            # event loop for 0.16 s.
            gc.collect(1)
            gc.freeze()
        elif experiment is not session.experiment:
            await session.study.follow(experiment)
            experiment = await session.study.own(experiment)
        session.follow(experiment)
        return session

    def _session(
        self, key: Key, experiment: Experiment, study: Study, before: Status | None
    ) -> Session:
        runner = Runner(self._api, self._cache, experiment, self._settings.defaults)
        measurements = Measurements(
            self._scraper,
            key.namespace,
            self._settings.scrape_seconds,
            lambda: self._queue.add(key, self.status_seconds),
        )

        def find(name: str) -> Storage | None:
            found = self._cache.experiments.get(Key(key.namespace, name))
            return self._database.storage_of(found["metadata"]) if found else None

        visitor = Visitor(
            Ports(runner, measurements, study), lambda wanted: study.warm_up(wanted, find)
        )
        return Session(experiment, runner, study, visitor, measurements, before)

    async def _work(self, key: Key, session: Session, unmarked: Sequence[str]) -> float | None:
        experiment = session.experiment
        await self._check_template(session)
        allowed = caps.of(key, self._settings.caps, self._cache)

        def tell(done: Pass) -> None:
            pass_metrics.count(key, done)
            for action in done.decision.actions:
                if session.told(action) or not (event := events.of_action(action, done.seen)):
                    continue
                self._announcer.tell(vars(experiment.metadata), event)

        result = await session.visitor.visit(experiment, session.refusal, tell, allowed)
        result = replace(result, refused=(*unmarked, *result.refused))
        await self._note_restored(session, result)
        rest = await self._statuses.write(key, session, result, self.status_seconds)
        if goes_on(result):
            return 0.0
        live = any(attempt.remains for attempt in result.seen.attempts)
        removing = any(removal.attempt.live for removal in result.seen.removals)
        if finished.left_nothing(result) and rest is None:
            await self._leave(key)
            return None
        if result.decision.finished and not (result.refused or removing or live):
            return max(rest or 0.0, self.status_seconds)
        capped = conditions.held_back(experiment.spec, result.seen)
        unsettled = session.obstacle or result.refused or removing or capped
        wait = AGAIN_SECONDS if unsettled else VISIT_SECONDS
        wait = self._settings.scrape_seconds if live else wait
        if session.refusal:
            wait = min(wait, max(0.0, session.due - time.monotonic()))
        return wait if rest is None else min(rest, wait)

    async def _note_restored(self, session: Session, result: Pass) -> None:
        """Store once what the study has forgotten of what the status told."""
        if not session.restored_at and (lost := conditions.forgotten(session.status, result.seen)):
            session.restored_at = result.seen.now
            await session.study.note_restored(lost, result.seen.now)
        session.restored = await session.study.restored()

    async def _check_template(self, session: Session) -> None:
        """Ask, once for each generation, whether the API server takes the trials' Jobs.

        What it refuses is tried again: soon at first, for a new namespace lacks its service account
        for a moment.
        """
        generation, now = session.experiment.metadata.generation, time.monotonic()
        if session.checked != generation:
            session.pause = 1.0
        elif not session.refusal or now < session.due:
            return
        session.refusal, session.checked = await session.runner.check(), generation
        session.pause = min(AGAIN_SECONDS, 2 * session.pause)
        session.due = now + session.pause

    async def _delete(self, key: Key, found: Mapping[str, Any]) -> float | None:
        """Delete what goes with an experiment; say in its status what that waits for."""
        await self._forget(key)
        if ownership.owner(found) not in ("", self._settings.identity):
            return None  # another operator held it, and deletes what goes with it
        waits = await self._deletion.step(key, found)
        if not waits:
            return None
        await self._statuses.deleting(key, found, waits)
        return DELETION_SECONDS

    async def _leave(self, key: Key) -> None:
        session = self._sessions.pop(key, None)
        if session:
            await session.measurements.close()
            await session.study.close()

    async def _forget(self, key: Key) -> None:
        """Drop everything of an experiment that is gone; its study stays in the database."""
        await self._leave(key)
        self._claims.forget(key)
        self._statuses.forget(key)
        self._queue.forget(key)
        self._announcer.forget(key)
        await let_go(self._api, self._cache, key)


async def _unless_refused(mark: Awaitable[None]) -> list[str]:
    """Write a mark; return what the API server said if it refuses."""
    try:
        await mark
    except Refused as refusal:
        return [str(refusal)]
    return []


def _identity(experiment: Experiment) -> tuple[str, str]:
    return experiment.metadata.uid, experiment.metadata.study
