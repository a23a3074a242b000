"""PURE: the stage that comes after the search: who is evaluated on the test questions, and when.

The points of the front and the baselines are, each once, as soon as the search is over. No other
decision reads what comes of it. A search that goes on after that has new points tested at its next
end; those that have left the front keep what they have.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from distillery_contract.request import Stage
from distillery_contract.wire import Exit
from distillery_operator.engine import endings, preparation, trainers, usage
from distillery_operator.engine.actions import KeepTest, Launch
from distillery_operator.engine.endings import End
from distillery_operator.resource.spec import Spec
from distillery_operator.search import reported
from distillery_operator.trials.observation import Observation
from distillery_operator.trials.trial import FinalTest, State, Trial


@dataclass(frozen=True)
class Tests:
    """How far the tests of what a search has chosen are.

    Attributes:
        chosen: the points of the front and the baselines that have a model, or had one when they
            were tested.
        failed: why those of them have no result that are not tried again, by their numbers.
    """

    chosen: Sequence[Trial] = ()
    failed: dict[int, End] = field(default_factory=dict)

    @property
    def done(self) -> int:
        """How many are tested."""
        return sum(trial.test is not None for trial in self.chosen)

    @property
    def missing(self) -> list[Trial]:
        """Those that are still to be tested."""
        return [t for t in self.chosen if t.test is None and t.number not in self.failed]


def tests(spec: Spec, seen: Observation) -> Tests:
    """Return how far the tests are of what would be chosen if the search was over now."""
    if not spec.data.has_test or not seen.prepared:
        return Tests()
    models = {t.number: t.model for t in reported.front_of(seen.verdicts(spec))}
    models |= {trial.number: trial.model for trial in seen.trials if trial.baseline}
    chosen = [
        trial
        for trial in seen.trials
        if trial.number in models and (models[trial.number] or trial.test)
    ]
    open_ = [trial for trial in chosen if trial.test is None]
    return Tests(chosen, {t.number: end for t in open_ if (end := _failed(spec, seen, t))})


def launch(spec: Spec, seen: Observation, done: Tests) -> Iterator[Launch]:
    """Yield the attempts that begin now that the search is over."""
    if done.missing:
        yield from preparation.ahead(spec, seen, _next(spec, seen, done.missing))


def keep(seen: Observation) -> Iterator[KeepTest]:
    """Yield what tests have found, if it is not stored yet."""
    tested = {attempt.trial for attempt in seen.all_attempts if attempt.stage is Stage.TEST}
    for trial in (seen.trials[number] for number in sorted(tested)):
        if trial.test is not None or trial.state is not State.COMPLETED:
            continue
        attempts = seen.attempts_of(Stage.TEST, trial.number)
        for attempt in attempts:
            report = seen.report(attempt)
            if attempt.exit_code != Exit.OK or report is None or not report.test:
                continue
            if endings.out_of_bounds(report):
                continue
            seconds, gpus = usage.total(seen, attempts)
            made = trainers.provenance(seen, attempt)
            said = (dict(report.test), dict(report.teacher_test))
            yield KeepTest(trial.number, FinalTest(*said, seconds, gpus, made, seen.now))
            break


def _next(spec: Spec, seen: Observation, missing: Sequence[Trial]) -> Iterator[Launch]:
    kept = {action.trial for action in keep(seen)}
    taken = {a.trial for a in seen.foreign if a.stage is Stage.TEST}  # until they are gone
    for trial in missing:
        attempts = seen.attempts_of(Stage.TEST, trial.number)
        if trial.number in kept | taken:
            continue
        if not attempts:
            yield Launch(Stage.TEST, trial.number, 1)
        elif not attempts[-1].remains and not endings.rests(spec, seen, attempts[-1]):
            yield Launch(Stage.TEST, trial.number, attempts[-1].number + 1)


def _failed(spec: Spec, seen: Observation, trial: Trial) -> End | None:
    """Return how a trial's test failed for good; each edit of the spec lets it be tried again."""
    attempts = seen.attempts_of(Stage.TEST, trial.number)
    own = [a for a in attempts if a.generation in (None, seen.generation)]
    if not own or attempts[-1].live:
        return None
    step = endings.follow(spec, seen, own)
    return step if isinstance(step, End) and step.state is not State.COMPLETED else None
