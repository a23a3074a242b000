"""One visit of one experiment on a cluster: what ``reconcile`` is called with, and what is told.

Keeps between two visits only what can be found again: the open study, the status written last, and
whether the API server takes the pod template.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final

import pydantic

from distillery_operator.cluster.api import Api
from distillery_operator.cluster.cache import Cache
from distillery_operator.cluster.kinds import Key
from distillery_operator.cluster.runner import Runner, let_go
from distillery_operator.controller import events
from distillery_operator.controller.event_writer import Announcer
from distillery_operator.controller.session import Session, findings
from distillery_operator.controller.settings import Settings
from distillery_operator.controller.work_queue import WorkQueue
from distillery_operator.engine import statistics, status
from distillery_operator.engine.actions import Launch, Tell
from distillery_operator.engine.conditions import Finding
from distillery_operator.engine.ports import Ports
from distillery_operator.engine.reasons import METRICS_UNAVAILABLE
from distillery_operator.engine.reconcile import Pass
from distillery_operator.engine.visit import AGAIN_SECONDS, Visitor, goes_on
from distillery_operator.errors import (
    DatabaseUnavailable,
    InvalidExperiment,
    StudyMismatch,
)
from distillery_operator.measurements.reports import Measurements
from distillery_operator.measurements.scraping import Scraper
from distillery_operator.resource import label_names, parsing, yaml_files
from distillery_operator.resource.experiment import Experiment
from distillery_operator.resource.status import ConditionType, Status
from distillery_operator.results import trials_server
from distillery_operator.search import samplers
from distillery_operator.study.database import Database
from distillery_operator.study.study import Study
from distillery_operator.study.tables import Storage
from distillery_operator.study.workers import Workers
from distillery_operator.telemetry import experiment_metrics, operator_metrics, timed_study
from distillery_operator.trials.trial import State

STATUS_SECONDS: Final = 2.0
"""Time between two writes of one status, as long as few experiments run."""
STATUS_SECONDS_EACH: Final = 0.3
"""Time that each further experiment adds, so that all statuses together are a light load."""

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
        self._sessions: dict[Key, Session] = {}
        self._shown = experiment_metrics.Experiments(settings.ended_series_days)

    @property
    def status_seconds(self) -> float:
        """Return the time between two writes of one status."""
        return max(STATUS_SECONDS, STATUS_SECONDS_EACH * len(self._sessions))

    async def visit(self, key: Key) -> float | None:
        """Look at one experiment; return after how many seconds it wants the next look."""
        begun = time.monotonic()
        result = "error"
        try:
            found = self._cache.experiments.get(key)
            delay = None
            if found is None or "deletionTimestamp" in found["metadata"]:
                await self._forget(key)
            else:
                delay = await self._look(key, found)
            result = "done" if delay is None else "requeue"
            return delay
        finally:
            operator_metrics.RECONCILES.labels(result).inc()
            operator_metrics.RECONCILE_SECONDS.observe(time.monotonic() - begun)

    async def close(self) -> None:
        """Close the studies and end the scrapes."""
        for key in list(self._sessions):
            await self._leave(key)

    async def _look(self, key: Key, found: Mapping[str, Any]) -> float | None:
        try:
            experiment = self._parse(key, found)
            session = await self._enter(key, experiment, found)
            return await self._work(key, session)
        except (InvalidExperiment, StudyMismatch) as error:
            reason = "ImmutableField" if isinstance(error, StudyMismatch) else "InvalidExperiment"
            await self._obstruct(
                key, found, Finding(ConditionType.ACCEPTED, "False", reason, str(error))
            )
            return None
        except DatabaseUnavailable as error:
            operator_metrics.STORAGE_ERRORS.inc()
            kind = ConditionType.STORAGE_REACHABLE
            finding = Finding(kind, "False", "DatabaseUnavailable", str(error))
            await self._obstruct(key, found, finding)
            raise

    def _parse(self, key: Key, found: Mapping[str, Any]) -> Experiment:
        """Return the experiment as it is now, parsed once for each generation."""
        session, metadata = self._sessions.get(key), found["metadata"]
        known = session and session.experiment
        if (
            known
            and known.metadata.uid == metadata["uid"]
            and known.metadata.generation == metadata["generation"]
        ):
            return known
        experiment = parsing.parse(found)
        if faults := samplers.lacking(experiment.spec):
            raise InvalidExperiment(faults)
        return experiment

    async def _enter(self, key: Key, experiment: Experiment, found: Mapping[str, Any]) -> Session:
        """Return the session of an experiment, which is another one if it was created anew."""
        session = self._sessions.get(key)
        if session and session.experiment.metadata.uid != experiment.metadata.uid:
            await self._forget(key)
            session = None
        if session is None:
            now = time.time()
            with timed_study.timed("open"):
                place = self._database.storage(experiment.metadata.uid)
                study = timed_study.observed(
                    await Study.open(place, experiment, now, self._workers)
                )
            session = self._session(key, experiment, study, _status(found))
            self._sessions[key] = session
        elif experiment is not session.experiment:
            await session.study.follow(experiment)
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
            return self._database.storage(found["metadata"]["uid"]) if found else None

        visitor = Visitor(
            Ports(runner, measurements, study), lambda wanted: study.warm_up(wanted, find)
        )
        return Session(experiment, runner, study, visitor, measurements, before)

    async def _work(self, key: Key, session: Session) -> float | None:
        experiment = session.experiment
        await self._check_template(session)

        def tell(done: Pass) -> None:
            self._count(key, done)
            for action in done.decision.actions:
                if event := events.of_action(action, done.seen):
                    self._announcer.tell(vars(experiment.metadata), event)

        result = await session.visitor.visit(experiment, session.refusal, tell)
        rest = await self._write_status(key, session, result)
        if goes_on(result):
            return 0.0
        live = any(attempt.remains for attempt in result.seen.attempts)
        removing = any(removal.attempt.live for removal in result.seen.removals)
        if result.decision.done and rest is None and not removing:
            await self._leave(key)
            return None
        unsettled = session.obstacle or result.refused or removing
        wait = AGAIN_SECONDS if unsettled else VISIT_SECONDS
        wait = self._settings.scrape_seconds if live else wait
        return wait if rest is None else min(rest, wait)

    async def _check_template(self, session: Session) -> None:
        """Ask, once for each generation, whether the API server takes the trials' Jobs."""
        generation, now = session.experiment.metadata.generation, time.monotonic()
        checked, when = session.checked
        stale = session.refusal and now - when >= AGAIN_SECONDS
        if checked != generation or stale:
            session.refusal = await session.runner.check()
            session.checked = (generation, now)

    async def _write_status(self, key: Key, session: Session, result: Pass) -> float | None:
        """Write the status if it changed; return after how many seconds it may be written."""
        early = session.written + self.status_seconds - time.monotonic()
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
        rotation = str((annotations or {}).get(label_names.ROTATE, ""))
        path = trials_server.path(self._settings.trials_service, key, before, rotation)
        found = derived.model_copy(update={"trials_path": path})
        figured = await asyncio.to_thread(
            statistics.derive, session.experiment.spec, result.seen, result.decision.done
        )
        self._shown.show(key, session.experiment, found, figured)
        if found != session.status:
            for event in events.of_change(session.status, found):
                self._announcer.tell(vars(session.experiment.metadata), event)
            await self._api.apply_status(key, yaml_files.to_document(found))
            session.status, session.written = found, time.monotonic()
        return None

    async def _obstruct(self, key: Key, found: Mapping[str, Any], finding: Finding) -> None:
        """Say in the status why nothing goes on; what was found before stands."""
        metadata = found["metadata"]
        session = self._sessions.get(key)
        before = session.status if session else _status(found)
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
        self._cache.experiments[key] = {**found, "status": yaml_files.to_document(after)}

    async def _leave(self, key: Key) -> None:
        session = self._sessions.pop(key, None)
        if session:
            await session.measurements.close()
            await session.study.close()

    async def _forget(self, key: Key) -> None:
        """Drop everything of an experiment that is gone; its study stays in the database."""
        await self._leave(key)
        self._shown.forget(key)
        self._queue.forget(key)
        self._announcer.forget(key)
        await let_go(self._api, self._cache, key)

    def _count(self, key: Key, result: Pass) -> None:
        for action in result.decision.actions:
            if isinstance(action, Launch):
                operator_metrics.ATTEMPTS_STARTED.labels(*key, str(action.stage)).inc()
            elif isinstance(action, Tell):
                operator_metrics.TRIALS_ENDED.labels(
                    *key, str(action.state), str(action.reason)
                ).inc()
                operator_metrics.TRIAL_SECONDS.labels(*key).observe(action.seconds)
                if action.reason == METRICS_UNAVAILABLE:
                    operator_metrics.METRICS_MISSING.inc()
                elif action.state is State.COMPLETED:
                    operator_metrics.METRICS_SOURCE.labels(action.report.source).inc()


def _status(found: Mapping[str, Any]) -> Status | None:
    """Return the status that an experiment has; None if there is none, or one of another time."""
    try:
        return Status.model_validate(found["status"])
    except (KeyError, pydantic.ValidationError):
        return None
