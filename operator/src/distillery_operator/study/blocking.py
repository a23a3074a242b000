"""The study without threads: each call reads or writes the database, and waits for it.

Each change is stored first, and then made in memory.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any, ParamSpec

from distillery_contract.request import Stage
from distillery_operator.engine.actions import Tell
from distillery_operator.resource import space, suggestion_rules
from distillery_operator.resource.experiment import Experiment
from distillery_operator.resource.sampler import Sampler
from distillery_operator.resource.spec import Spec
from distillery_operator.search import optuna_trials, warm_start
from distillery_operator.study import belonging, contents, curves, notes, records, specs
from distillery_operator.study.asking import Asking, Suggestion
from distillery_operator.study.contents import Contents
from distillery_operator.study.curves import CURVE, READINGS
from distillery_operator.study.records import (
    BY_HAND,
    CONFIRMATION,
    CONFIRMATIONS_COLLECTED,
    KEPT,
    RESTORED,
    STUDENT,
    TAKEN_FIELDS,
    TEST,
    WARM,
)
from distillery_operator.study.rows import Row, Rows
from distillery_operator.study.specs import MEANING, RESOURCE, SAMPLER, SPACE
from distillery_operator.study.tables import Storage, Stored
from distillery_operator.trials.observation import Preparation
from distillery_operator.trials.past_attempt import PastAttempt
from distillery_operator.trials.trial import Confirmation, FinalTest, Point, State, Trial

log = logging.getLogger(__name__)

P = ParamSpec("P")


class BlockingStudy:
    """What is stored of an experiment, and the same in memory; :meth:`open` comes first.

    Attributes:
        held: the study, as of the last look.
        enqueued: trials of a person that wait, as of the last look.
        notes: what else others have put there, in sentences, as of the last look.
    """

    held: Contents
    enqueued: list[Row]

    def __init__(self, place: Storage, cluster: str, *, curves: bool = False) -> None:
        """Work on one study.

        Args:
            place: where its tables are.
            cluster: that has the experiment; empty on one machine, or where nobody knows.
            curves: whether to hold the whole learning curves of trials that have ended, and not
                only what early stopping looks at.
        """
        self._curves = curves
        self._storage, self._cluster = place, cluster
        self._asking = Asking()
        self._stale = True
        self._resource: dict[str, Any] | None = None
        self._sampler: object = None
        self.notes: Sequence[str] = ()

    def open(self, experiment: Experiment, now: float, begun: str | None) -> None:
        """Open the study, or create it: see :meth:`distillery_operator.study.study.Study.open`."""
        metadata, searched = experiment.metadata, specs.space_of(experiment.spec)
        if metadata.settled:
            belonging.expect(experiment, self._storage.find(metadata.name), begun)
        directions = optuna_trials.directions(experiment.spec)
        began = {SPACE: searched, SAMPLER: str(Sampler().type), "started": now}
        self._storage.open(metadata.name, directions, began)
        self._compare(experiment)
        if self._resource is not None and self._resource["uid"] != metadata.uid:
            said = "the experiment was created again, with another uid, and goes on with its study"
            self.note_restored(said, now)
        self._belong(experiment)

    def follow(self, experiment: Experiment) -> None:
        """Go on with an experiment as it was edited."""
        self._compare(experiment)
        self._belong(experiment)

    def own(self, experiment: Experiment) -> Experiment:
        """Return an experiment with what this search has begun with, where it leaves that open."""
        spec = specs.settled(experiment.spec, self._sampler)
        return (
            experiment if spec is experiment.spec else experiment.model_copy(update={"spec": spec})
        )

    def refresh(self) -> None:
        """Read what another process has written meanwhile."""
        if self._stale or self._storage.changed():
            self._read()

    def change(self, function: Callable[P, None], /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Call one of the methods below. After one that failed, everything is read anew."""
        if self._stale:
            self._read()
        self._stale = True  # a change that fails may or may not have reached the storage
        function(*args, **kwargs)
        self._stale = False

    def note_restored(self, message: str, now: float) -> None:
        """Store why the study differs from what was told of it earlier."""
        self._storage.set_attribute(RESTORED, {"at": now, "message": message})
        self.held.restored = message

    def keep(self, preparation: Preparation) -> None:
        """Store what the preparation found."""
        self._storage.set_attribute("preparation", asdict(preparation))
        self.held.preparation = preparation

    def remember(self, stage: Stage, number: int, past: PastAttempt) -> None:
        """Store what counts of an attempt of a stage, unless what it is for has ended."""
        if stage is Stage.PREPARE:
            self._storage.set_attribute(records.name_of(past), asdict(past))
            self.held.preparing = _with(self.held.preparing, past)
            return
        trial = self.held.trials[number]
        if trial.stored(stage, past.number):
            return
        field, mark = KEPT[stage]
        self._storage.set_trial_attribute(number, records.name_of(past, mark), asdict(past))
        changed: dict[str, Any] = {field: _with(getattr(trial, field), past)}
        self.held.trials[number] = replace(trial, **changed)

    def keep_test(self, number: int, test: FinalTest) -> None:
        """Store what a trial did on the test questions, unless that is stored."""
        trial = self.held.trials[number]
        if trial.test is None:
            self._storage.set_trial_attribute(number, TEST, asdict(test))
            self.held.trials[number] = replace(trial, test=test)

    def keep_confirmation(self, number: int, index: int, found: Confirmation) -> None:
        """Store how a further training of a trial ended, unless that is stored."""
        trial = self.held.trials[number]
        if len(trial.confirmations) == index:
            self._storage.set_trial_attribute(number, f"{CONFIRMATION}{index}", asdict(found))
            confirmations = (*trial.confirmations, found)
            self.held.trials[number] = replace(trial, confirmations=confirmations)

    def try_again(self) -> None:
        """Let a preparation, and tests, that have failed run again."""
        kept = self.held.preparation
        for past in () if kept and kept.pinned else self.held.preparing:
            self.remember(Stage.PREPARE, 0, _of_no_spec(past))
        for trial in self.held.trials:
            for past in () if trial.test else trial.testing:
                self.remember(Stage.TEST, trial.number, _of_no_spec(past))

    def take(self, name: str, taken: Sequence[Trial]) -> None:
        """Store trials of another experiment."""
        stored = [{field: getattr(trial, field) for field in TAKEN_FIELDS} for trial in taken]
        self._storage.set_attribute(f"{WARM}{name}", stored)
        self.held.warm[name] = tuple(taken)

    def ask(self, spec: Spec, now: float) -> None:
        """Store a further suggestion, if there is one."""
        suggestion = self._asking.suggestion(spec, self.held, self.enqueued)
        if suggestion is not None:
            self._add(spec, suggestion, now)
            if suggestion.row is not None:
                self.enqueued.remove(suggestion.row)

    def promote(self, spec: Spec, number: int, now: float) -> None:
        """Store a trial that continues a stopped one, unless one does."""
        if any(trial.continues == number for trial in self.held.trials):
            return
        before = self.held.trials[number]
        suggestion = {
            "parameters": dict(before.parameters),
            "continues": number,
            BY_HAND: before.by_hand,
            "started": now,
            "parameter_count": before.parameter_count,
        }
        curve = self._storage.trial_attribute(number, CURVE) or []
        self._store(spec, {"suggestion": suggestion, CURVE: curve}, now)

    def record(self, number: int, point: Point) -> None:
        """Add an evaluation to the learning curve of a trial."""
        curve = curves.thin((*self.held.trials[number].curve, point))
        stored = curves.curve_of(curve, self.held.asides.get(number, {}))
        self._storage.set_trial_attribute(number, CURVE, stored)
        self.held.trials[number] = replace(self.held.trials[number], curve=curve)

    def tell(self, spec: Spec, ending: Tell, model: str | None, now: float) -> None:
        """Store how a trial ended, unless it has ended."""
        before = self.held.trials[ending.trial]
        if before.state is not State.RUNNING:
            return
        trial = replace(before, **records.ended(before, ending, model, now))
        stored: dict[str, Any] = {"ending": records.ending_of(trial)}
        if trial.curve is not before.curve:
            kept = self.held.asides.get(trial.number, {})
            stored[CURVE] = curves.curve_of(trial.curve, kept)
        brief = curves.brief(trial, self._shares)
        if brief.curve:
            stored[READINGS] = curves.readings_of(map(asdict, brief.curve), self._shares)
        self._storage.finish(ending.trial, optuna_trials.frozen(spec, trial, stored), now)
        self.held.trials[ending.trial] = trial if self._curves else brief

    def collect(self, numbers: Sequence[int], runs: Sequence[tuple[int, int]]) -> None:
        """Store that the files are gone: of trials, and of confirmations by trial and seed."""
        if numbers:
            collected = self.held.collected | set(numbers)
            self._storage.set_attribute("collected", sorted(collected))
            self.held.collected = collected
        for number in numbers:
            self.held.trials[number] = replace(self.held.trials[number], model=None, collected=True)
        for number, seed in runs:
            trial = self.held.trials[number]
            known = self._storage.trial_attribute(number, CONFIRMATIONS_COLLECTED) or []
            gone = sorted({*known, seed})
            self._storage.set_trial_attribute(number, CONFIRMATIONS_COLLECTED, gone)
            left = tuple(
                replace(c, model=None, collected=True) if c.seed == seed else c
                for c in trial.confirmations
            )
            self.held.trials[number] = replace(trial, confirmations=left)

    def _compare(self, experiment: Experiment) -> None:
        """See to it that what gives results their meaning is as it was."""
        self._spec = experiment.spec
        stored = self._read()
        meaning = belonging.compare(experiment, stored.attributes, self.held)
        if meaning is not None:
            self._storage.set_attribute(MEANING, meaning)
        self._give_readings(stored.rows.own)

    def _belong(self, experiment: Experiment) -> None:
        """Store whose study it is, and what is wanted of it."""
        resource = specs.resource_of(experiment, self._cluster)
        if experiment.metadata.uid and self._resource != resource:
            self._storage.set_attribute(RESOURCE, resource)
            self._resource = resource

    def _read(self) -> Stored:
        """Read everything anew, and return it."""
        stored = self._storage.read(None if self._curves else self._shares)
        try:
            self.held = contents.of(stored.attributes, stored.rows.own)
        except ValueError as error:
            raise self._storage.unavailable(str(error)) from error
        self._attend(stored.rows)
        self._resource = stored.attributes.get(RESOURCE)
        self._sampler = stored.attributes.get(SAMPLER)
        self._stale = False
        return stored

    def _give_readings(self, own: Sequence[Row]) -> None:
        """Store the readings of trials without, so that the next process need not read curves."""
        if self._curves:
            return
        found = {
            number: curves.readings_of(row.attributes[CURVE], self._shares)
            for number, row in enumerate(own)
            if curves.unread(row.attributes)
        }
        if found:
            self._storage.set_trial_attributes(READINGS, found)

    @property
    def _shares(self) -> Sequence[float]:
        """The rungs that early stopping looks at."""
        return self._spec.early_stopping.rungs

    def _attend(self, rows: Rows) -> None:
        """Take note of what others have put there; each thing is said in the log once."""
        faults = [
            (row, suggestion_rules.fault(self._spec, row.fixed or {})) for row in rows.enqueued
        ]
        self.enqueued = [row for row, fault in faults if fault is None]
        before, self.notes = self.notes, notes.of(rows, self.held.trials, faults)
        for sentence in self.notes:
            if sentence not in before:
                log.warning("%s: %s", self._storage.key, sentence)

    def _add(self, spec: Spec, suggestion: Suggestion, now: float) -> None:
        parameters = space.described(spec, suggestion.parameters)
        stored = {
            "parameters": parameters,
            "baseline": None,
            **suggestion.given,
            "started": now,
            "parameter_count": self.held.size(parameters),
        }
        self._store(spec, {"suggestion": stored}, now, suggestion.row)

    def _store(
        self, spec: Spec, stored: dict[str, Any], now: float, row: Row | None = None
    ) -> None:
        """Add a trial, whole, in a row of its own unless there is one."""
        trial = records.restored(len(self.held.trials), stored, self.held.collected)
        if (student := warm_start.student(spec, trial.parameters)) is not None:
            stored = {**stored, STUDENT: student}
        made = optuna_trials.frozen(spec, trial, stored)
        if row is None:
            self._storage.add(made, now)
        else:
            self._storage.take(row, made, now)
        self.held.trials.append(trial)


def _of_no_spec(past: PastAttempt) -> PastAttempt:
    """Return what is kept of an attempt, as one that no spec of today has asked for."""
    return replace(past, provenance=replace(past.provenance, generation=0))


def _with(kept: Sequence[PastAttempt], past: PastAttempt) -> tuple[PastAttempt, ...]:
    """Return what is kept of attempts, with one more or one anew."""
    others = [other for other in kept if records.name_of(other) != records.name_of(past)]
    return tuple(sorted([*others, past], key=lambda one: one.number))
