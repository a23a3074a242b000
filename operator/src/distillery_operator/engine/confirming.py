"""PURE: the stage after the search that trains points of the front again, with other seeds.

A trial is trained again where that changes something: its chance to stand on the front of means
over all seeds is neither small nor large. With ``report: Checkpoint`` it must stand on the measured
front, too. The one that is most in doubt comes first. The runs of one come one after the other, for
after each the doubt is another. What comes of it is stored with the trial, in a place of its own:
no decision that leads the search reads it, and it counts for no ``maxTrials``.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from distillery_contract.request import Stage
from distillery_operator.engine import budgets, endings, preparation, requests, trainers, usage
from distillery_operator.engine.actions import KeepConfirmation, Launch
from distillery_operator.engine.endings import Again, End
from distillery_operator.resource.spec import Spec
from distillery_operator.search import reported
from distillery_operator.trials.attempt import Report
from distillery_operator.trials.observation import Observation
from distillery_operator.trials.trial import Confirmation, State, Trial, lineage

DOUBT: Final = (0.1, 0.9)
"""Chances to stand on the front between which a further training changes something."""

CONFIRMED: Final = 2
"""Further trainings, measured to their end, that confirm a point."""


@dataclass(frozen=True)
class Confirmations:
    """How far the confirmation of a front is.

    Attributes:
        chances: of trials to stand on the front of means over all seeds, by number; others have
            none.
        doubted: the numbers of those whose place is in doubt, the most doubtful first.
        missing: those that are trained again next, as far as the share of the budget goes.
        spent: why no further training of those in doubt begins, if so.
    """

    chances: Mapping[int, float] = field(default_factory=dict)
    doubted: Sequence[int] = ()
    missing: Sequence[int] = ()
    spent: str = ""

    def confirmed(self, trial: Trial) -> bool:
        """Tell whether a trial was trained again often enough, and still belongs on the front."""
        enough = len(reported.completed(trial)) >= CONFIRMED
        return enough and self.chances.get(trial.number, 0.0) >= 0.5


def confirmations(spec: Spec, seen: Observation) -> Confirmations:
    """Return how far the confirmation is, of a search that is over."""
    if spec.confirm is None or not seen.prepared:
        return Confirmations()
    verdicts = seen.verdicts(spec)
    chances = verdicts.once("chances", lambda: reported.chances(spec, seen.trials))
    expects, (low, high) = reported.expected(spec), DOUBT
    known = {*chances} if expects else {trial.number for trial in verdicts.front}
    doubted = [n for n, chance in chances.items() if n in known and low < chance < high]
    if expects:  # what is reported needs a model
        bare = {t.number for t in reported.front_of(verdicts) if t.model is None}
        doubted += sorted(bare - {*doubted})
    doubted.sort(key=lambda n: (abs(chances.get(n, 1.0) - 0.5), n))
    begun = [t.number for t in seen.trials if seen.attempts_of(Stage.CONFIRM, t.number)]
    open_ = [n for n in doubted if len(seen.trials[n].confirmations) < spec.confirm.runs]
    wanted = [*begun, *(n for n in open_ if n not in begun)]
    missing, spent = _affordable(spec, seen, wanted, len(begun))
    return Confirmations(chances, doubted, missing, spent)


def launch(spec: Spec, seen: Observation, done: Confirmations) -> Iterator[Launch]:
    """Yield the attempts that begin now that the search is over."""
    if done.missing:
        yield from preparation.ahead(spec, seen, _next(spec, seen, done.missing))


def keep(spec: Spec, seen: Observation) -> Iterator[KeepConfirmation]:
    """Yield how confirmations have ended that are not stored yet."""
    for trial in seen.trials:
        attempts = seen.attempts_of(Stage.CONFIRM, trial.number)
        if trial.state is not State.COMPLETED or not attempts or any(a.live for a in attempts):
            continue
        step = endings.follow(spec, seen, attempts)
        if not isinstance(step, End):
            continue
        report = seen.report(attempts[-1]) or Report("")
        whole, index = step.state is State.COMPLETED, len(trial.confirmations)
        seconds, gpus = usage.total(seen, attempts)
        yield KeepConfirmation(
            trial.number,
            index,
            Confirmation(
                seed=requests.seed_of(trial, attempts[-1].number),
                state=step.state,
                reason=str(step.reason),
                message=step.message,
                metrics=_measured(trial, report) if whole else {},
                seconds=seconds,
                gpus=gpus,
                attempt=attempts[-1].number,
                provenance=trainers.provenance(seen, attempts[-1]),
                at=seen.now,
            ),
        )


def _measured(trial: Trial, report: Report) -> dict[str, float]:
    size = trial.parameter_count
    known = {} if size is None else {"parameter_count": float(size)}
    return {**report.metrics, **known}


def _next(spec: Spec, seen: Observation, missing: Sequence[int]) -> Iterator[Launch]:
    kept = {action.trial for action in keep(spec, seen)}
    taken = {a.trial for a in seen.foreign if a.stage is Stage.CONFIRM}  # until they are gone
    refused = trainers.refusal(spec, seen)
    for number in missing:
        trial = seen.trials[number]
        if (
            number in kept | taken
            or (number, requests.seed_of(trial, trial.confirmed_up_to + 1)) in seen.removing_runs
        ):
            continue
        attempts = seen.attempts_of(Stage.CONFIRM, number)
        if not attempts:
            if not refused:
                yield Launch(Stage.CONFIRM, number, trial.confirmed_up_to + 1)
        elif not attempts[-1].remains and not endings.rests(spec, seen, attempts[-1]):
            step = endings.follow(spec, seen, attempts)
            if isinstance(step, Again):
                yield Launch(Stage.CONFIRM, number, step.number)


def _affordable(
    spec: Spec, seen: Observation, wanted: Sequence[int], begun: int
) -> tuple[list[int], str]:
    """Return those that may be trained, what has begun included, and why not all may, if so."""
    left, words = budgets.left_to_confirm(spec, seen)
    for place, number in enumerate(wanted):
        each = usage.hours_of(lineage(seen.trials, seen.trials[number]))
        if place >= begun and each > left:
            takes = (
                f"a further training takes about {usage.in_words(each)},"
                f" {usage.in_words(max(0.0, left))} are left"
            )
            return [*wanted[:place]], f"{takes} of {words}"
        left -= max(0.0, each - usage.attempt_hours(seen, number, Stage.CONFIRM))
    return [*wanted], ""
