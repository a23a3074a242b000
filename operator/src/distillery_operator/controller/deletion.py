"""The end of an experiment whose study and results are deleted with it.

Each step is found again after a kill: trainings end first, then a Job removes the files, then the
study goes, and last the finalizer that holds the experiment.
"""

import logging
from typing import Any

import pydantic

from distillery_operator.cluster import default_template, errand_jobs, errands, jobs, marks
from distillery_operator.cluster.api import Api
from distillery_operator.cluster.cache import Cache
from distillery_operator.cluster.kinds import Key, Kind, Object
from distillery_operator.cluster.pod_template import Defaults
from distillery_operator.cluster.runner import TERMINATING, Runner
from distillery_operator.engine import requests
from distillery_operator.errors import DatabaseUnavailable, Refused
from distillery_operator.resource.experiment import Experiment
from distillery_operator.resource.spec import DeletionPolicy
from distillery_operator.study import survey
from distillery_operator.study.database import Database
from distillery_operator.study.workers import Workers
from distillery_operator.trials.attempt import NODE_LOST

log = logging.getLogger(__name__)


class Deletion:
    """Deletes study and results of experiments that were deleted."""

    def __init__(
        self, api: Api, cache: Cache, database: Database, workers: Workers, defaults: Defaults
    ) -> None:
        self._api, self._cache = api, cache
        self._database, self._workers = database, workers
        self._defaults = defaults

    async def step(self, key: Key, found: Object) -> str:
        """Do what can be done; return in a sentence what is waited for; nothing at the end.

        Args:
            key: names the experiment.
            found: the experiment, which was deleted, as the API server has it.
        """
        if not marks.held(found):
            return ""
        errand = None
        if found["spec"].get("deletionPolicy") == DeletionPolicy.DELETE:
            experiment = _parsed(found, self._defaults)
            if waits := await self._remove(key, found, experiment):
                return waits
            errand = experiment and self._errand_name(experiment)
        await marks.let_go(self._api, found)
        if errand:
            await self._api.delete(Kind.JOB, errand)
        return ""

    async def _remove(self, key: Key, found: Object, experiment: Experiment | None) -> str:
        terminating = False
        try:
            if experiment is not None:
                if waits := await self._end_trainings(experiment):
                    return waits
                if await self._has_run(found) and not await self._remove_files(found, experiment):
                    return f"the Job {self._errand_name(experiment).name} to remove the files"
        except Refused as refusal:
            # The volume goes with its namespace, which must not wait for anything here.
            terminating = TERMINATING in str(refusal)
            if not terminating:
                return str(refusal)
        try:
            place = self._database.storage_of(found["metadata"])
            await self._workers.run(place.key, place.remove)
        except DatabaseUnavailable as error:
            if not terminating and not await self._terminates(experiment):
                return str(error)
            log.warning("%s: the namespace goes, but the study stays: %s", "/".join(key), error)
        return ""

    async def _end_trainings(self, experiment: Experiment) -> str:
        runner = Runner(self._api, self._cache, experiment, self._defaults)
        live = [attempt for attempt in await runner.list() if attempt.live]
        for attempt in live:
            await runner.discard(attempt)
        if not live:
            return ""
        lost = [attempt.message for attempt in live if attempt.reason == NODE_LOST]
        return "; ".join([f"{len(live)} processes to end", *lost[:1]])

    async def _has_run(self, found: Object) -> bool:
        """Tell whether there may be files: an experiment that never ran must not need a volume."""
        place = self._database.storage_of(found["metadata"])
        try:
            return await self._workers.run(place.key, place.has_run)
        except DatabaseUnavailable:
            return True
        finally:
            await self._workers.run(place.key, place.close)

    async def _remove_files(self, found: Object, experiment: Experiment) -> bool:
        async def make() -> dict[str, Any]:
            place = self._database.storage_of(found["metadata"])
            folders = [requests.results(experiment)]
            key = await self._workers.run(place.key, survey.sole_key, self._database, place.key)
            folders += [requests.prepared(key)] if key else []
            return errands.removal(experiment, folders, self._defaults)

        return await errand_jobs.done(self._api, self._errand_name(experiment), make)

    async def _terminates(self, experiment: Experiment | None) -> bool:
        """Tell whether the namespace of an experiment is being deleted."""
        if experiment is None:
            return False
        try:
            job = errands.removal(experiment, [requests.results(experiment)], self._defaults)
            await self._api.dry_run(Kind.JOB, job)
        except Refused as refusal:
            return TERMINATING in str(refusal)
        return False

    def _errand_name(self, experiment: Experiment) -> Key:
        return Key(experiment.metadata.namespace, jobs.removal_name(experiment))


def _parsed(found: Object, defaults: Defaults) -> Experiment | None:
    """Return an experiment whose spec may break rules; None if it cannot be read at all."""
    try:
        return default_template.under(Experiment.model_validate(found), defaults.template)
    except pydantic.ValidationError as error:
        log.warning("%s cannot be read, so its files stay: %s", found["metadata"]["name"], error)
        return None
