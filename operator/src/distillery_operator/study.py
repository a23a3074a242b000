"""The study of an experiment: suggestions and results, in Optuna's tables and in memory.

A suggestion is computed on a study in memory and stored by one transaction with all its parameters,
so that a kill leaves either no trial or a whole one; an ending likewise. One process writes; its
list of trials in memory mirrors the storage, and is read anew after every error.
"""

import math
from collections.abc import AsyncIterator, Callable, Mapping, Sequence, Set
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final, ParamSpec, Self

from distillery_contract import size
from distillery_contract.parameters import Value
from distillery_operator import sampling, space, storage, warm
from distillery_operator.actions import Tell
from distillery_operator.errors import NotFound, StudyMismatch
from distillery_operator.resources import Experiment, Spec
from distillery_operator.sampling import Suggester
from distillery_operator.storage import Storage
from distillery_operator.trials import Point, Preparation, Report, State, Trial
from distillery_operator.workers import Workers

P = ParamSpec("P")

WARM: Final = "warm:"
"""Begins the names of the study's attributes that hold trials of other experiments."""
TAKEN_FIELDS: Final = ("number", "parameters", "state", "expected", "metrics", "ended")
"""Of another experiment's trial: what samplers look at."""

STUDENT: Final = "student"
"""Attribute of a trial that starts from a pretrained student: which one. Other experiments ask."""

CURVE_LIMIT: Final = 200
"""Points that a stored learning curve has at most."""


class Study:
    """Ask, tell and load, for one experiment. All its work is done in one thread, in order."""

    def __init__(self, place: Storage, workers: Workers) -> None:
        """Use :meth:`open`."""
        self._storage, self._workers = place, workers
        self._suggester = Suggester()
        self._stale = True
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
            StudyMismatch: the study was made for another search space or other objectives.
            DatabaseUnavailable: as every other method.
        """
        study = cls(place, workers)
        await workers.run(place.key, study._open, experiment, now)
        return study

    async def load(self) -> tuple[float, Preparation | None, tuple[Trial, ...]]:
        """Return when the study began, what was prepared, and all trials in their order."""
        if self._stale:
            await self._workers.run(self._storage.key, self._read)
        return self._started, self._preparation, tuple(self._trials)

    async def keep(self, preparation: Preparation) -> None:
        """Store what the preparation found."""
        await self._run(self._keep, preparation)

    async def ask(self, spec: Spec, count: int, now: float) -> None:
        """Store further suggestions: baselines that have no trial yet, then the sampler's."""
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
            name, known = wanted.experiment, self._preparation
            if name in self._warm or (known is None and name in self._looked_at):
                continue
            place = find(name)
            source = None
            if place is not None:
                source = await self._workers.run(place.key, _source, place)
            if source is None:
                raise NotFound(f"there is no experiment {name} with trials to start from")
            if known is None:
                warm.check(spec, wanted, source)
                self._looked_at.add(name)
            else:
                await self._run(self._take, name, warm.fitting(spec, known.key, wanted, source))
        return warm.informing(spec, self._warm)

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
        name, searched = experiment.metadata.name, _space(experiment.spec)
        directions = sampling.directions(experiment.spec)
        self._storage.open(name, directions, {"space": searched, "started": now})
        if _parameters(self._read()["space"]) != _parameters(searched):
            raise StudyMismatch(
                f"the study {name!r} was made for another search space or other objectives; these"
                " are immutable, so give the experiment another name"
            )

    def _read(self) -> dict[str, Any]:
        """Read everything anew; return the attributes of the study."""
        attributes, trials = self._storage.read()
        self._started = float(attributes["started"])
        self._collected = set(attributes.get("collected", []))
        self._warm = {
            key.removeprefix(WARM): tuple(_taken(trial) for trial in trials)
            for key, trials in attributes.items()
            if key.startswith(WARM)
        }
        stored = attributes.get("preparation")
        self._preparation = _preparation(stored) if stored else None
        self._trials = [
            restored(number, stored, self._collected) for number, stored in enumerate(trials)
        ]
        self._stale = False
        return attributes

    def _keep(self, preparation: Preparation) -> None:
        self._storage.set_attribute("preparation", asdict(preparation))
        self._preparation = preparation

    def _take(self, name: str, taken: Sequence[Trial]) -> None:
        stored = [{field: getattr(trial, field) for field in TAKEN_FIELDS} for trial in taken]
        self._storage.set_attribute(f"{WARM}{name}", stored)
        self._warm[name] = tuple(taken)

    def _ask(self, spec: Spec, count: int, now: float) -> None:
        known = {trial.baseline for trial in self._trials}
        baselines = [baseline for baseline in spec.baselines if baseline.name not in known]
        for baseline in baselines[:count]:
            self._add(spec, baseline.parameters, baseline.name, now)
        sources = warm.informing(spec, self._warm).values()
        others = [trial for source in sources for trial in source]
        for _ in range(count - len(baselines)):
            suggestion = self._suggester.suggest(spec, self._trials, self._size, others)
            if suggestion is not None:
                self._add(spec, suggestion, None, now)

    def _promote(self, spec: Spec, number: int, now: float) -> None:
        if any(trial.continues == number for trial in self._trials):
            return
        before = self._trials[number]
        suggestion = {
            "parameters": dict(before.parameters),
            "continues": number,
            "started": now,
            "parameter_count": before.parameter_count,
        }
        curve = [asdict(point) for point in before.curve]
        self._store(spec, {"suggestion": suggestion, "curve": curve}, now)

    def _add(
        self, spec: Spec, searched: Mapping[str, Value], baseline: str | None, now: float
    ) -> None:
        parameters = space.described(spec, searched)
        suggestion = {
            "parameters": parameters,
            "baseline": baseline,
            "started": now,
            "parameter_count": self._size(parameters),
        }
        self._store(spec, {"suggestion": suggestion}, now)

    def _store(self, spec: Spec, stored: dict[str, Any], now: float) -> None:
        """Add a trial, whole."""
        trial = restored(len(self._trials), stored, self._collected)
        if (student := warm.student(spec, trial.parameters)) is not None:
            stored = {**stored, STUDENT: student}
        self._storage.add(sampling.frozen(spec, trial, stored), now)
        self._trials.append(trial)

    def _size(self, parameters: Mapping[str, Value]) -> int | None:
        if self._preparation is None:
            return None
        try:
            return size.student_size(self._preparation.sources, parameters)
        except ValueError:  # no such student: decide ends the trial with the reason
            return None

    def _record(self, number: int, point: Point) -> None:
        curve = thin((*self._trials[number].curve, point))
        self._storage.set_trial_attribute(number, "curve", [asdict(p) for p in curve])
        self._trials[number] = replace(self._trials[number], curve=curve)

    def _tell(self, spec: Spec, ending: Tell, model: str | None, now: float) -> None:
        before = self._trials[ending.trial]
        if before.state is not State.RUNNING:
            return
        trial = replace(before, **_ending(before, ending, model, now))
        stored: dict[str, Any] = {"ending": {name: getattr(trial, name) for name in ENDING_FIELDS}}
        if trial.curve is not before.curve:
            stored["curve"] = [asdict(point) for point in trial.curve]
        self._storage.finish(ending.trial, sampling.frozen(spec, trial, stored), now)
        self._trials[ending.trial] = trial

    def _collect(self, numbers: Sequence[int]) -> None:
        collected = self._collected | set(numbers)
        self._storage.set_attribute("collected", sorted(collected))
        self._collected = collected
        for number in numbers:
            self._trials[number] = replace(self._trials[number], model=None, collected=True)


ENDING_FIELDS: Final = (
    "state",
    "reason",
    "message",
    "expected",
    "metrics",
    "source",
    "seconds",
    "gpus",
    "model",
    "ended",
)


@asynccontextmanager
async def in_file(path: Path, experiment: Experiment, now: float) -> AsyncIterator[Study]:
    """Open the study in a SQLite file, or create it, for the length of a block."""
    with Workers(1) as workers:
        study = await Study.open(storage.file(path), experiment, now, workers)
        try:
            yield study
        finally:
            await study.close()


def thin(curve: tuple[Point, ...]) -> tuple[Point, ...]:
    """Return a curve, every second point gone once it exceeds the limit; first and last stay."""
    return curve if len(curve) <= CURVE_LIMIT else (*curve[:-1:2], curve[-1])


def _source(place: Storage) -> warm.Source | None:
    """Read another experiment's study; None if there is none.

    It is the only one there, and called as its experiment was: a folder of results may be renamed.
    """
    try:
        if "space" not in (place.find() or {}):
            return None
        attributes, trials = place.read()
    finally:
        place.close()
    objectives = {o["metric"]: o["direction"] for o in attributes["space"]["objectives"]}
    key = attributes.get("preparation", {}).get("key")
    found = tuple(restored(number, stored, set()) for number, stored in enumerate(trials))
    students = {n: stored[STUDENT] for n, stored in enumerate(trials) if STUDENT in stored}
    return warm.Source(objectives, key, found, students)


def _taken(stored: Mapping[str, Any]) -> Trial:
    return Trial(**{**stored, "state": State(stored["state"])})


def _space(spec: Spec) -> dict[str, Any]:
    """Return what is immutable, in the form that is stored."""
    objectives = [{"metric": o.metric, "direction": str(o.direction)} for o in spec.objectives]
    return {
        "objectives": objectives,
        "parameters": [p.model_dump(mode="json") for p in spec.parameters],
    }


def _parameters(stored: Mapping[str, Any]) -> Any:
    """Return a stored search space without what it leaves open, which a later release may name."""
    given = [{k: v for k, v in p.items() if v is not None} for p in stored["parameters"]]
    return stored["objectives"], given


def restored(number: int, attributes: Mapping[str, Any], collected: Set[int]) -> Trial:
    """Rebuild a trial from what is stored with it."""
    suggestion, ending = attributes["suggestion"], dict(attributes.get("ending", {}))
    if ending:
        ending["state"] = State(ending["state"])
        ending["model"] = None if number in collected else ending["model"]
        ending["collected"] = number in collected
    curve = tuple(Point(**point) for point in attributes.get("curve", []))
    return Trial(number=number, curve=curve, **suggestion, **ending)


def _ending(before: Trial, ending: Tell, model: str | None, now: float) -> dict[str, Any]:
    report: Report = ending.report
    known = (
        {} if before.parameter_count is None else {"parameter_count": float(before.parameter_count)}
    )
    measured = {k: v for k, v in report.metrics.items() if math.isfinite(v)}
    point = report.continuing(before.curve, now)
    return {
        "curve": thin((*before.curve, point)) if point else before.curve,
        "state": ending.state,
        "reason": str(ending.reason),
        "message": ending.message,
        "expected": dict(ending.expected),
        "metrics": {**measured, **known},
        "source": report.source,
        "seconds": ending.seconds,
        "gpus": ending.gpus,
        "model": model if ending.state is State.COMPLETED else None,
        "ended": now,
    }


def _preparation(stored: Mapping[str, Any]) -> Preparation:
    sources = {
        name: size.Architecture(**{**s, "family": size.Family(s["family"])})
        for name, s in stored["sources"].items()
    }
    return Preparation(**{**stored, "sources": sources})
