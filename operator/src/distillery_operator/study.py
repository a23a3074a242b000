"""EDGE: the study of an experiment, kept by Optuna. Only importer of optuna.

The storage holds what was suggested and every finished result. A suggestion is computed on a study
in memory and stored by one transaction with all its parameters, so that a kill leaves either no
trial or a whole one. One process writes; its list of trials in memory mirrors the storage and is
read anew after every error.
"""

import asyncio
import json
import math
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from typing import Any, Final, ParamSpec, TypeVar

import optuna
import sqlalchemy
from optuna.trial import TrialState

from distillery_contract import size
from distillery_contract.parameters import Value
from distillery_operator import judge, sampling
from distillery_operator.actions import Tell
from distillery_operator.errors import StudyMismatch
from distillery_operator.resources import Experiment, Spec
from distillery_operator.trials import Point, Preparation, Report, State, Trial

P = ParamSpec("P")
T = TypeVar("T")

CURVE_LIMIT: Final = 200
"""Points that a stored learning curve has at most."""


class Study:
    """Ask, tell and load, for one experiment, in the one thread that owns the sessions."""

    def __init__(self, url: str, experiment: Experiment, now: float) -> None:
        """Open the study, or create it.

        Args:
            url: of the database, as SQLAlchemy reads it.
            experiment: names the study; its search space and objectives must be those that the
                study was made for.
            now: seconds since the epoch, the start of a study that is created.

        Raises:
            StudyMismatch: the study was made for another search space or other objectives.
        """
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="study")
        self._worker.submit(self._open, url, experiment, now).result()

    async def load(self) -> tuple[float, Preparation | None, tuple[Trial, ...]]:
        """Return when the study began, what was prepared, and all trials in their order."""
        return self._started, self._preparation, tuple(self._trials)

    async def keep(self, preparation: Preparation) -> None:
        """Store what the preparation found."""
        await self._run(self._keep, preparation)

    async def ask(self, spec: Spec, count: int, now: float) -> None:
        """Store further suggestions: baselines that have no trial yet, then the sampler's."""
        await self._run(self._ask, spec, count, now)

    async def record(self, number: int, point: Point) -> None:
        """Add an evaluation to the learning curve of a trial that has not ended."""
        await self._run(self._record, number, point)

    async def tell(self, spec: Spec, ending: Tell, model: str | None, now: float) -> None:
        """Store how a trial ended. A trial that has ended stays as it is."""
        await self._run(self._tell, spec, ending, model, now)

    async def collect(self, number: int) -> None:
        """Store that a trial's model is gone."""
        await self._run(self._collect, number)

    async def close(self) -> None:
        """Give the database's connections back."""
        await self._run(self._engine.dispose)
        self._worker.shutdown()

    async def _run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        def guarded() -> T:
            try:
                return function(*args, **kwargs)
            except Exception:
                self._read()  # the write may or may not have reached the storage
                raise

        return await asyncio.get_running_loop().run_in_executor(self._worker, guarded)

    def _open(self, url: str, experiment: Experiment, now: float) -> None:
        arguments = {"timeout": 60.0} if url.startswith("sqlite") else {}
        self._storage = optuna.storages.RDBStorage(
            url, engine_kwargs={"pool_pre_ping": True, "connect_args": arguments}
        )
        self._engine = self._storage.engine
        if (
            self._engine.dialect.name == "sqlite"
        ):  # WAL: readers such as `distillery report` never block the writer
            with self._engine.connect() as connection:
                connection.execute(sqlalchemy.text("PRAGMA journal_mode=WAL"))
        self._study = optuna.create_study(
            study_name=experiment.metadata.name,
            storage=self._storage,
            directions=sampling.directions(experiment.spec),
            load_if_exists=True,
        )
        attributes = self._study.user_attrs
        space = _space(experiment.spec)
        if attributes.get("space", space) != space:
            raise StudyMismatch(
                f"the study {experiment.metadata.name!r} was made for another search space or other"
                " objectives; these are immutable, so give the experiment another name"
            )
        if "started" not in attributes:
            self._study.set_user_attr("space", space)
            self._study.set_user_attr("started", now)
        self._read()

    def _read(self) -> None:
        attributes = self._study.user_attrs
        self._started = float(attributes["started"])
        self._collected = set(attributes.get("collected", []))
        stored = attributes.get("preparation")
        self._preparation = _preparation(stored) if stored else None
        self._trials = [
            _trial(frozen.number, frozen.user_attrs, self._collected)
            for frozen in self._study.get_trials(deepcopy=False)
        ]

    def _keep(self, preparation: Preparation) -> None:
        self._study.set_user_attr("preparation", asdict(preparation))
        self._preparation = preparation

    def _ask(self, spec: Spec, count: int, now: float) -> None:
        mirror = sampling.in_memory(spec, self._trials)
        known = {trial.baseline for trial in self._trials}
        baselines = [baseline for baseline in spec.baselines if baseline.name not in known]
        for _ in range(count):
            if baselines:
                baseline = baselines.pop(0)
                trial = self._store(spec, baseline.parameters, baseline.name, now)
                mirror.add_trial(sampling.frozen(spec, trial))
            else:
                mirror.sampler = sampling.sampler(spec, len(self._trials))
                self._store(spec, mirror.ask(sampling.distributions(spec)).params, None, now)

    def _store(
        self, spec: Spec, searched: Mapping[str, Value], baseline: str | None, now: float
    ) -> Trial:
        """Add a suggestion by one transaction."""
        parameters = {**spec.training, **searched}
        suggestion = {
            "parameters": parameters,
            "baseline": baseline,
            "started": now,
            "parameter_count": self._size(parameters),
        }
        trial = _trial(len(self._trials), {"suggestion": suggestion}, self._collected)
        self._study.add_trial(sampling.frozen(spec, trial, user_attrs={"suggestion": suggestion}))
        self._trials.append(trial)
        return trial

    def _size(self, parameters: Mapping[str, Value]) -> int | None:
        if self._preparation is None:
            return None
        try:
            return size.student_size(self._preparation.sources, parameters)
        except ValueError:  # no such student: decide ends the trial with the reason
            return None

    def _record(self, number: int, point: Point) -> None:
        curve = thin((*self._trials[number].curve, point))
        self._set(number, "curve", [asdict(p) for p in curve])
        self._trials[number] = replace(self._trials[number], curve=curve)

    def _tell(self, spec: Spec, ending: Tell, model: str | None, now: float) -> None:
        before = self._trials[ending.trial]
        if before.state is not State.RUNNING:
            return
        trial = replace(before, **_ending(before, ending, model, now))
        stored = {k: getattr(trial, k) for k in ENDING_FIELDS}
        self._set(ending.trial, "ending", stored)
        if trial.state is State.FAILED:
            self._study.tell(ending.trial, state=TrialState.FAIL)
        else:
            handle = optuna.trial.Trial(self._study, self._id(ending.trial))
            present = handle.constraints
            for name, violation in sorted(judge.violations(spec, trial).items()):
                if name not in present:
                    handle.set_constraint(name, violation)
            self._study.tell(ending.trial, sampling.values(spec, trial))
        self._trials[ending.trial] = trial

    def _collect(self, number: int) -> None:
        self._collected.add(number)
        self._study.set_user_attr("collected", sorted(self._collected))
        self._trials[number] = replace(self._trials[number], model=None)

    def _set(self, number: int, key: str, value: object) -> None:
        self._storage.set_trial_user_attr(self._id(number), key, json.loads(json.dumps(value)))

    def _id(self, number: int) -> int:
        study = self._storage.get_study_id_from_name(self._study.study_name)
        return self._storage.get_trial_id_from_study_id_trial_number(study, number)


ENDING_FIELDS: Final = (
    "state",
    "reason",
    "message",
    "metrics",
    "source",
    "seconds",
    "model",
    "ended",
)


def thin(curve: tuple[Point, ...]) -> tuple[Point, ...]:
    """Return a curve, every second point gone once it exceeds the limit; first and last stay."""
    return curve if len(curve) <= CURVE_LIMIT else (*curve[:-1:2], curve[-1])


def _space(spec: Spec) -> dict[str, Any]:
    """Return what is immutable, in the form that is stored."""
    objectives = [{"metric": o.metric, "direction": str(o.direction)} for o in spec.objectives]
    return {
        "objectives": objectives,
        "parameters": [p.model_dump(mode="json") for p in spec.parameters],
    }


def _trial(number: int, attributes: Mapping[str, Any], collected: set[int]) -> Trial:
    """Rebuild a trial from what is stored with it."""
    suggestion, ending = attributes["suggestion"], dict(attributes.get("ending", {}))
    if ending:
        ending["state"] = State(ending["state"])
        ending["model"] = None if number in collected else ending["model"]
    curve = tuple(Point(**point) for point in attributes.get("curve", []))
    return Trial(number=number, curve=curve, **suggestion, **ending)


def _ending(before: Trial, ending: Tell, model: str | None, now: float) -> dict[str, Any]:
    report: Report = ending.report
    known = (
        {} if before.parameter_count is None else {"parameter_count": float(before.parameter_count)}
    )
    measured = {k: v for k, v in report.metrics.items() if math.isfinite(v)}
    return {
        "state": ending.state,
        "reason": str(ending.reason),
        "message": ending.message,
        "metrics": {**measured, **known},
        "source": report.source,
        "seconds": ending.seconds,
        "model": model if ending.state is State.COMPLETED else None,
        "ended": now,
    }


def _preparation(stored: Mapping[str, Any]) -> Preparation:
    sources = {
        name: size.Architecture(**{**s, "family": size.Family(s["family"])})
        for name, s in stored["sources"].items()
    }
    return Preparation(stored["key"], stored["teacher"], sources)
