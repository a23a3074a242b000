"""The study of an experiment: suggestions and results, in Optuna's tables and in memory.

A suggestion is computed on a study in memory and stored by one transaction with all its parameters,
so that a process killed in between has suggested nothing.
"""

import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final, ParamSpec, Self

from distillery_contract import size
from distillery_contract.parameters import Value
from distillery_contract.request import Stage
from distillery_operator.engine import conditions
from distillery_operator.engine.actions import Tell
from distillery_operator.errors import NotFound, StudyMismatch, StudyMissing
from distillery_operator.resource import space, suggestions
from distillery_operator.resource.experiment import STUDY, Experiment
from distillery_operator.resource.spec import Spec
from distillery_operator.search import optuna_trials, own_points, warm_start
from distillery_operator.search.suggester import Suggester
from distillery_operator.study import contents, database, notes, records
from distillery_operator.study.records import (
    BY_HAND,
    MEANING,
    REMOVED,
    RESOURCE,
    RESTORED,
    SPACE,
    STUDENT,
    TAKEN_FIELDS,
    WARM,
)
from distillery_operator.study.rows import Row, Rows
from distillery_operator.study.tables import Storage
from distillery_operator.study.workers import Workers
from distillery_operator.trials.observation import Others, Preparation
from distillery_operator.trials.past_attempt import PastAttempt
from distillery_operator.trials.trial import Point, State, Trial

log = logging.getLogger(__name__)

P = ParamSpec("P")

NOBODY: Final[Mapping[str, str]] = {}
"""What names a suggestion of the sampler."""


class Study:
    """Ask, tell and load, for one experiment. All its work is done in one thread, in order."""

    def __init__(self, place: Storage, workers: Workers) -> None:
        """Use :meth:`open`."""
        self._storage, self._workers = place, workers
        self._suggester = Suggester()
        self._stale = True
        self._notes: Sequence[str] = ()
        self._looked_at: set[str] = set()
        self._resource: dict[str, Any] | None = None
        self._cluster = ""

    @classmethod
    async def open(
        cls,
        place: Storage,
        experiment: Experiment,
        now: float,
        workers: Workers,
        *,
        cluster: str = "",
        begun: str | None = None,
    ) -> Self:
        """Open the study, or create it.

        Args:
            place: where the tables of this experiment are.
            experiment: names the study; its search space and objectives must be those that the
                study was made for.
            now: seconds since the epoch, the start of a study that is created.
            workers: the threads to work in.
            cluster: that has the experiment; empty on one machine, or where nobody knows.
            begun: when the study was created, as a status says it; None if nothing says so.

        Raises:
            StudyMismatch: the study was made for another search space, for other objectives, or
                with other data, models or hyperparameters.
            StudyMissing: the experiment names a study that is not there, or another one is.
            DatabaseUnavailable: as every other method.
        """
        study = cls(place, workers)
        study._cluster = cluster
        try:
            await workers.run(place.key, study._open, experiment, now, begun)
        except BaseException:
            await study.close()
            raise
        return study

    async def restored(self) -> str:
        """Return why the study differs from what was told of it earlier; empty if it does not."""
        return self._held.restored

    async def note_restored(self, message: str, now: float) -> None:
        """Store why the study differs from what was told of it earlier."""
        await self._run(self._note_restored, message, now)

    async def follow(self, experiment: Experiment) -> None:
        """Go on with an experiment as it was edited.

        Raises:
            StudyMismatch: as :meth:`open`.
        """

        def follow() -> None:
            self._compare(experiment)
            self._belong(experiment)

        await self._workers.run(self._storage.key, follow)

    async def load(self) -> tuple[float, Preparation | None, tuple[Trial, ...]]:
        """Return when the study began, what was prepared, and all trials in their order.

        What another process has written meanwhile is read anew.
        """
        await self._workers.run(self._storage.key, self._refresh)
        return self._held.started, self._held.preparation, tuple(self._held.trials)

    async def others(self) -> Others:
        """Return what others have put into the study, as of the last look."""
        return Others(len(self._enqueued), self._notes)

    async def keep(self, preparation: Preparation) -> None:
        """Store what the preparation found."""
        await self._run(self._keep, preparation)

    async def preparing(self) -> tuple[PastAttempt, ...]:
        """Return what is kept of attempts of the preparation as of the last look."""
        return self._held.preparing

    async def remember(self, stage: Stage, trial: int, attempt: PastAttempt) -> None:
        """Store what counts of an attempt of a stage; it replaces what was kept of it before.

        A trial that has ended stays as it is.
        """
        await self._run(self._remember, stage, trial, attempt)

    async def prepare_again(self) -> None:
        """Let a preparation that has failed run again: a person has acted on what it said."""
        await self._run(self._prepare_again)

    async def ask(self, spec: Spec, count: int, now: float) -> None:
        """Store further suggestions: first baselines without a trial, last the sampler's.

        Between them come those of a person: of the experiment, then those that were enqueued.
        """
        await self._run(self._ask, spec, count, now)

    async def warm_up(
        self, experiment: Experiment, find: Callable[[str], Storage | None]
    ) -> Mapping[str, Sequence[Trial]]:
        """Take the trials of other experiments, once each; return all that inform the sampler.

        Before data and teacher are prepared, only see to it that those experiments are there.

        Args:
            experiment: names them.
            find: returns the place of the study of an experiment; None if there is none.

        Raises:
            NotFound: an experiment is not there.
            Unfit: none of its trials fits.
        """
        await self.load()
        spec = experiment.spec
        for wanted in spec.warm_start_from:
            name, known = wanted.experiment, self._held.preparation
            if name in self._held.warm or (known is None and name in self._looked_at):
                continue
            place = find(name)
            source = None
            if place is not None:
                source = await self._workers.run(place.key, _source, place)
            if source is None:
                raise NotFound(f"there is no experiment {name} with trials to start from")
            if known is None:
                warm_start.check(spec, wanted, source)
                self._looked_at.add(name)
            else:
                await self._run(
                    self._take, name, warm_start.fitting(spec, known.key, wanted, source)
                )
        return warm_start.informing(spec, self._held.warm)

    async def promote(self, spec: Spec, number: int, now: float) -> None:
        """Store a trial that continues a stopped one; one that is continued stays as it is."""
        await self._run(self._promote, spec, number, now)

    async def record(self, number: int, point: Point) -> None:
        """Add an evaluation to the learning curve of a trial that has not ended."""
        await self._run(self._record, number, point)

    async def tell(self, spec: Spec, ending: Tell, model: str | None, now: float) -> None:
        """Store how a trial ended. A trial that has ended stays as it is."""
        await self._run(self._tell, spec, ending, model, now)

    async def collect(self, numbers: Sequence[int]) -> None:
        """Store that the files of trials are gone."""
        await self._run(self._collect, numbers)

    async def close(self) -> None:
        """Give back what the study alone holds of the database."""
        await self._workers.run(self._storage.key, self._storage.close)

    async def _run(self, function: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        def guarded() -> None:
            if self._stale:
                self._read()
            self._stale = True  # a change that fails may or may not have reached the storage
            function(*args, **kwargs)
            self._stale = False

        await self._workers.run(self._storage.key, guarded)

    def _open(self, experiment: Experiment, now: float, begun: str | None) -> None:
        metadata, searched = experiment.metadata, records.space_of(experiment.spec)
        if metadata.settled:
            self._expect(experiment, begun)
        directions = optuna_trials.directions(experiment.spec)
        self._storage.open(metadata.name, directions, {SPACE: searched, "started": now})
        self._compare(experiment)
        if self._resource is not None and self._resource["uid"] != metadata.uid:
            said = "the experiment was created again, with another uid, and goes on with its study"
            self._note_restored(said, now)
        self._belong(experiment)

    def _belong(self, experiment: Experiment) -> None:
        """Store whose study it is, and what is wanted of it."""
        resource = records.resource_of(experiment, self._cluster)
        if experiment.metadata.uid and self._resource != resource:
            self._storage.set_attribute(RESOURCE, resource)
            self._resource = resource

    def _note_restored(self, message: str, now: float) -> None:
        self._storage.set_attribute(RESTORED, {"at": now, "message": message})
        self._held.restored = message

    def _expect(self, experiment: Experiment, begun: str | None) -> None:
        """See to it that the named study is here: to begin anew would forget what it has."""
        metadata, stored = experiment.metadata, self._storage.find(experiment.metadata.name)
        found = stored and conditions.timestamp(json.loads(stored["started"]))
        if found is not None and begun in (None, found):
            return
        lacks = f"has one of {found}, not of {begun}," if found else "has none"
        raise StudyMissing(
            f"the annotation {STUDY} names the study {metadata.study} of"
            f" {metadata.namespace}/{metadata.name}, but the database {lacks}: bring its own"
            " database back, restore the database, or remove the annotation to begin another search"
        )

    def _compare(self, experiment: Experiment) -> None:
        """See to it that what gives results their meaning is as it was.

        Until something was prepared or suggested, nothing has a meaning yet. A study of an earlier
        release takes it from the first spec that this release sees.
        """
        name, spec = experiment.metadata.name, experiment.spec
        self._spec = spec
        stored = self._read()
        if REMOVED in stored:
            raise StudyMissing(
                f"the study {name!r} is being removed by `distillery prune`: give the experiment"
                f" another name, or remove its annotation {STUDY} to begin another search"
            )
        if other := records.mismatch(stored[SPACE], spec):
            raise StudyMismatch(
                f"the study {name!r} was made for {other}; search space and objectives are"
                " immutable, so give the experiment another name"
            )
        before, now = stored.get(MEANING), records.meaning_of(spec)
        if before is not None and (self._held.preparation or self._held.trials):
            if changes := records.edited(before, spec, self._held.trials):
                raise StudyMismatch(
                    f"the results of {name!r} were made with other settings: {'; '.join(changes)}."
                    " Data, teacher, student, training and baselines that have run are immutable,"
                    " for results must stay comparable: set them back, or give the experiment"
                    " another name"
                )
        elif before != now:
            self._storage.set_attribute(MEANING, now)

    def _refresh(self) -> None:
        if self._stale or self._storage.changed():
            self._read()

    def _read(self) -> dict[str, Any]:
        """Read everything anew; return the attributes of the study."""
        stored = self._storage.read()
        try:
            self._held = contents.of(stored.attributes, stored.rows.own)
        except ValueError as error:
            raise self._storage.unavailable(str(error)) from error
        self._attend(stored.rows)
        self._resource = stored.attributes.get(RESOURCE)
        self._stale = False
        return stored.attributes

    def _attend(self, rows: Rows) -> None:
        """Take note of what others have put there; each thing is said in the log once."""
        faults = [(row, suggestions.fault(self._spec, row.fixed or {})) for row in rows.enqueued]
        self._enqueued = [row for row, fault in faults if fault is None]
        before, self._notes = self._notes, notes.of(rows, self._held.trials, faults)
        for sentence in self._notes:
            if sentence not in before:
                log.warning("%s: %s", self._storage.key, sentence)

    def _keep(self, preparation: Preparation) -> None:
        self._storage.set_attribute("preparation", asdict(preparation))
        self._held.preparation = preparation

    def _remember(self, stage: Stage, number: int, past: PastAttempt) -> None:
        name, stored = records.name_of(past), asdict(past)
        if stage is not Stage.TRAIN:
            self._storage.set_attribute(name, stored)
            self._held.preparing = _with(self._held.preparing, past)
            return
        trial = self._held.trials[number]
        if trial.state is State.RUNNING:
            self._storage.set_trial_attribute(number, name, stored)
            kept = _with(trial.attempts, past)
            self._held.trials[number] = replace(trial, attempts=kept)

    def _prepare_again(self) -> None:
        for past in () if self._held.preparation else self._held.preparing:
            made = replace(past.provenance, generation=0)  # of no spec of today
            self._remember(Stage.PREPARE, 0, replace(past, provenance=made))

    def _take(self, name: str, taken: Sequence[Trial]) -> None:
        stored = [{field: getattr(trial, field) for field in TAKEN_FIELDS} for trial in taken]
        self._storage.set_attribute(f"{WARM}{name}", stored)
        self._held.warm[name] = tuple(taken)

    def _ask(self, spec: Spec, count: int, now: float) -> None:
        sources = warm_start.informing(spec, self._held.warm).values()
        others = [trial for source in sources for trial in source]
        baselines = own_points.baselines(spec, self._held.trials)
        wanted = own_points.suggestions(spec, self._held.trials)
        for _ in range(count):
            if baselines:
                first = baselines.pop(0)
                self._add(spec, first.parameters, now, {"baseline": first.name})
            elif wanted:
                next_ = wanted.pop(0)
                point = self._completed(spec, next_.parameters, others)
                self._add(spec, point, now, {BY_HAND: next_.name})
            elif self._enqueued:
                self._take_up(spec, others, now)
            elif (drawn := self._draw(spec, others)) is not None:
                self._add(spec, drawn, now)

    def _draw(self, spec: Spec, others: Sequence[Trial]) -> Mapping[str, Value] | None:
        return self._suggester.suggest(spec, self._held.trials, self._size, others)

    def _take_up(self, spec: Spec, others: Sequence[Trial], now: float) -> None:
        """Make a suggestion of the first trial that was enqueued."""
        row = self._enqueued[0]
        name = row.attributes.get(BY_HAND)
        point = self._completed(spec, row.fixed or {}, others)
        self._add(spec, point, now, {BY_HAND: name if isinstance(name, str) else ""}, row)
        self._enqueued.remove(row)

    def _completed(
        self, spec: Spec, fixed: Mapping[str, Value], others: Sequence[Trial]
    ) -> dict[str, Value]:
        """Return a person's point with what it leaves open."""
        drawn = {} if space.whole(spec, fixed) else self._draw(spec, others)
        return suggestions.completed(spec, fixed, drawn or {})

    def _promote(self, spec: Spec, number: int, now: float) -> None:
        if any(trial.continues == number for trial in self._held.trials):
            return
        before = self._held.trials[number]
        suggestion = {
            "parameters": dict(before.parameters),
            "continues": number,
            BY_HAND: before.by_hand,
            "started": now,
            "parameter_count": before.parameter_count,
        }
        curve = records.curve_of(before.curve, self._held.asides.get(number, {}))
        self._store(spec, {"suggestion": suggestion, "curve": curve}, now)

    def _add(
        self,
        spec: Spec,
        searched: Mapping[str, Value],
        now: float,
        given: Mapping[str, str] = NOBODY,
        row: Row | None = None,
    ) -> None:
        """Add a trial; ``given`` names the baseline or the suggestion of a person that it is."""
        parameters = space.described(spec, searched)
        suggestion = {
            "parameters": parameters,
            "baseline": None,
            **given,
            "started": now,
            "parameter_count": self._size(parameters),
        }
        self._store(spec, {"suggestion": suggestion}, now, row)

    def _store(
        self, spec: Spec, stored: dict[str, Any], now: float, row: Row | None = None
    ) -> None:
        """Add a trial, whole, in a row of its own unless there is one."""
        trial = records.restored(len(self._held.trials), stored, self._held.collected)
        if (student := warm_start.student(spec, trial.parameters)) is not None:
            stored = {**stored, STUDENT: student}
        made = optuna_trials.frozen(spec, trial, stored)
        if row is None:
            self._storage.add(made, now)
        else:
            self._storage.take(row, made, now)
        self._held.trials.append(trial)

    def _size(self, parameters: Mapping[str, Value]) -> int | None:
        if self._held.preparation is None:
            return None
        try:
            return size.student_size(self._held.preparation.sources, parameters)
        except ValueError:  # no such student: decide ends the trial with the reason
            return None

    def _record(self, number: int, point: Point) -> None:
        curve = records.thin((*self._held.trials[number].curve, point))
        stored = records.curve_of(curve, self._held.asides.get(number, {}))
        self._storage.set_trial_attribute(number, "curve", stored)
        self._held.trials[number] = replace(self._held.trials[number], curve=curve)

    def _tell(self, spec: Spec, ending: Tell, model: str | None, now: float) -> None:
        before = self._held.trials[ending.trial]
        if before.state is not State.RUNNING:
            return
        trial = replace(before, **records.ended(before, ending, model, now))
        stored: dict[str, Any] = {"ending": records.ending_of(trial)}
        if trial.curve is not before.curve:
            kept = self._held.asides.get(trial.number, {})
            stored["curve"] = records.curve_of(trial.curve, kept)
        self._storage.finish(ending.trial, optuna_trials.frozen(spec, trial, stored), now)
        self._held.trials[ending.trial] = trial

    def _collect(self, numbers: Sequence[int]) -> None:
        collected = self._held.collected | set(numbers)
        self._storage.set_attribute("collected", sorted(collected))
        self._held.collected = collected
        for number in numbers:
            self._held.trials[number] = replace(
                self._held.trials[number], model=None, collected=True
            )


@asynccontextmanager
async def in_file(path: Path, experiment: Experiment, now: float) -> AsyncIterator[Study]:
    """Open the study in a SQLite file, or create it, for the length of a block.

    An experiment that was copied from a cluster names a study there, and begins another one here.
    """
    here = experiment.metadata.model_copy(update={"annotations": None})
    experiment = experiment.model_copy(update={"metadata": here})
    with Workers(1) as workers:
        study = await Study.open(database.of_file(path), experiment, now, workers)
        try:
            yield study
        finally:
            await study.close()


def _with(kept: Sequence[PastAttempt], past: PastAttempt) -> tuple[PastAttempt, ...]:
    """Return what is kept of attempts, with one more or one anew."""
    others = [other for other in kept if records.name_of(other) != records.name_of(past)]
    return tuple(sorted([*others, past], key=lambda one: one.number))


def _source(place: Storage) -> warm_start.Source | None:
    """Read another experiment's study; None if there is none.

    It is the only one there, and called as its experiment was: a folder of results may be renamed.
    """
    try:
        if SPACE not in (place.find() or {}):
            return None
        stored = place.read()
    finally:
        place.close()
    return contents.source(stored.attributes, stored.rows.own)
