"""The study of an experiment: suggestions and results, in Optuna's tables and in memory.

A suggestion is computed on a study in memory and stored by one transaction with all its parameters,
so that a process killed in between has suggested nothing.
"""

import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, ParamSpec, Self

from distillery_contract import size
from distillery_contract.parameters import Value
from distillery_contract.request import Stage
from distillery_operator.engine.actions import Tell
from distillery_operator.errors import NotFound, StudyMismatch
from distillery_operator.resource import space
from distillery_operator.resource.experiment import Experiment
from distillery_operator.resource.spec import Spec
from distillery_operator.search import optuna_trials, warm_start
from distillery_operator.search.suggester import Suggester
from distillery_operator.study import contents, database, enqueued, notes, records
from distillery_operator.study.records import (
    MEANING,
    SPACE,
    STUDENT,
    TAKEN_FIELDS,
    WARM,
)
from distillery_operator.study.rows import Row, Rows
from distillery_operator.study.tables import Storage
from distillery_operator.study.workers import Workers
from distillery_operator.trials.observation import Preparation
from distillery_operator.trials.past_attempt import PastAttempt
from distillery_operator.trials.trial import Point, State, Trial

log = logging.getLogger(__name__)

P = ParamSpec("P")


class Study:
    """Ask, tell and load, for one experiment. All its work is done in one thread, in order."""

    def __init__(self, place: Storage, workers: Workers) -> None:
        """Use :meth:`open`."""
        self._storage, self._workers = place, workers
        self._suggester = Suggester()
        self._stale = True
        self._notes: Sequence[str] = ()
        self._looked_at: set[str] = set()

    @classmethod
    async def open(
        cls, place: Storage, experiment: Experiment, now: float, workers: Workers
    ) -> Self:
        """Open the study, or create it.

        Args:
            place: where the tables of this experiment are.
            experiment: names the study; its search space and objectives must be those that the
                study was made for.
            now: seconds since the epoch, the start of a study that is created.
            workers: the threads to work in.

        Raises:
            StudyMismatch: the study was made for another search space, for other objectives, or
                with other data, models or hyperparameters.
            DatabaseUnavailable: as every other method.
        """
        study = cls(place, workers)
        await workers.run(place.key, study._open, experiment, now)
        return study

    async def follow(self, experiment: Experiment) -> None:
        """Go on with an experiment as it was edited.

        Raises:
            StudyMismatch: as :meth:`open`.
        """
        await self._workers.run(self._storage.key, self._compare, experiment)

    async def load(self) -> tuple[float, Preparation | None, tuple[Trial, ...]]:
        """Return when the study began, what was prepared, and all trials in their order.

        What another process has written meanwhile is read anew.
        """
        await self._workers.run(self._storage.key, self._refresh)
        return self._held.started, self._held.preparation, tuple(self._held.trials)

    async def notes(self) -> Sequence[str]:
        """Return what others have put into the study as of the last look, in a few sentences."""
        return self._notes

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

        Between them come those that a person enqueued by Optuna's tools.
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

    def _open(self, experiment: Experiment, now: float) -> None:
        name, searched = experiment.metadata.name, records.space_of(experiment.spec)
        directions = optuna_trials.directions(experiment.spec)
        self._storage.open(name, directions, {SPACE: searched, "started": now})
        self._compare(experiment)

    def _compare(self, experiment: Experiment) -> None:
        """See to it that what gives results their meaning is as it was.

        Until something was prepared or suggested, nothing has a meaning yet. A study of an earlier
        release takes it from the first spec that this release sees.
        """
        name, spec = experiment.metadata.name, experiment.spec
        self._spec = spec
        stored = self._read()
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
        self._stale = False
        return stored.attributes

    def _attend(self, rows: Rows) -> None:
        """Take note of what others have put there; each thing is said in the log once."""
        faults = [(row, enqueued.fault(self._spec, row.fixed or {})) for row in rows.enqueued]
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
        known = {trial.baseline for trial in self._held.trials}
        baselines = [baseline for baseline in spec.baselines if baseline.name not in known]
        for baseline in baselines[:count]:
            self._add(spec, baseline.parameters, baseline.name, now)
        sources = warm_start.informing(spec, self._held.warm).values()
        others = [trial for source in sources for trial in source]
        for _ in range(count - len(baselines)):
            if self._enqueued:
                self._take_up(spec, others, now)
            elif (drawn := self._draw(spec, others)) is not None:
                self._add(spec, drawn, None, now)

    def _draw(self, spec: Spec, others: Sequence[Trial]) -> Mapping[str, Value] | None:
        return self._suggester.suggest(spec, self._held.trials, self._size, others)

    def _take_up(self, spec: Spec, others: Sequence[Trial], now: float) -> None:
        """Make a suggestion of the first trial that was enqueued."""
        row = self._enqueued[0]
        fixed = row.fixed or {}
        drawn = {} if space.whole(spec, fixed) else self._draw(spec, others)
        searched = enqueued.completed(spec, fixed, drawn or {})
        self._add(spec, searched, None, now, row)
        self._enqueued.remove(row)

    def _promote(self, spec: Spec, number: int, now: float) -> None:
        if any(trial.continues == number for trial in self._held.trials):
            return
        before = self._held.trials[number]
        suggestion = {
            "parameters": dict(before.parameters),
            "continues": number,
            "started": now,
            "parameter_count": before.parameter_count,
        }
        curve = records.curve_of(before.curve, self._held.asides.get(number, {}))
        self._store(spec, {"suggestion": suggestion, "curve": curve}, now)

    def _add(
        self,
        spec: Spec,
        searched: Mapping[str, Value],
        baseline: str | None,
        now: float,
        row: Row | None = None,
    ) -> None:
        parameters = space.described(spec, searched)
        suggestion = {
            "parameters": parameters,
            "baseline": baseline,
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
    """Open the study in a SQLite file, or create it, for the length of a block."""
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
