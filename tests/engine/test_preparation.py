"""When data and models are prepared, again if need be, and what is kept of it."""

from dataclasses import replace

from distillery_contract.request import Stage
from distillery_contract.wire import Exit
from distillery_operator.engine import conditions, decide
from distillery_operator.engine.actions import Action, Ask, Keep, Launch, Remember
from distillery_operator.trials.attempt import Attempt, Phase, Report
from distillery_operator.trials.observation import Observation
from distillery_operator.trials.past_attempt import PastAttempt
from distillery_operator.trials.provenance import Provenance
from distillery_operator.trials.trial import Trial
from support import worlds

SPEC = worlds.experiment(maxCrashes=0, parallelism=2).spec
RUNNING = Trial(0, {"learning_rate": 0.1, "n_layers": 2}, parameter_count=300_000)
UNPINNED = replace(worlds.PREPARATION, pinned=False, seconds=30.0, gpus=1.0)
REPORT = Report("x", key="key", sources=worlds.SOURCES, teacher={"exact": 9.0})
FIRST = Attempt(
    Stage.PREPARE, 0, 1, Phase.ENDED, Exit.OK, started=1.0, ended=2.0, digest="without a key"
)
AGAIN = replace(FIRST, number=2, started=100.0, ended=110.0, digest="with its key")


def acts(seen: Observation) -> list[Action]:
    return [a for a in decide.decide(SPEC, seen).actions if not isinstance(a, Remember)]


def unpinned(*attempts: Attempt, trials: tuple[Trial, ...] = (RUNNING,)) -> Observation:
    """Return what is seen of a search that an earlier release has prepared."""
    reports = {a: REPORT for a in attempts if a.exit_code == Exit.OK}
    seen = worlds.observation(trials, attempts, reports, preparation=UNPINNED)
    return replace(seen, preparation_order=AGAIN.digest)


def test_what_an_earlier_release_has_prepared_is_pinned_before_a_trial_starts() -> None:
    for before in ((), (FIRST,), (replace(FIRST, digest=""),)):
        (launch,) = acts(unpinned(*before))
        assert launch == Launch(Stage.PREPARE, 0, len(before) + 1)
    pins = replace(AGAIN, phase=Phase.RUNNING, exit_code=None, ended=None)
    assert acts(unpinned(FIRST, pins)) == []
    (keep,) = acts(unpinned(FIRST, AGAIN))
    assert isinstance(keep, Keep)
    assert keep.preparation == replace(UNPINNED, pinned=True, seconds=40.0, gpus=0.75)
    seen = replace(unpinned(FIRST, AGAIN), preparation=keep.preparation)
    assert acts(seen) == [Launch(Stage.TRAIN, 0, 1), Ask(1)]


def test_a_search_that_starts_nothing_more_is_not_pinned() -> None:
    ended = tuple(worlds.completed(n, 80.0, 1) for n in range(SPEC.max_trials))
    assert not [a for a in acts(unpinned(trials=ended)) if isinstance(a, Launch)]


def test_what_a_trial_that_runs_reads_is_pinned_with_the_next_one() -> None:
    runs = Attempt(Stage.TRAIN, 0, 1, Phase.RUNNING, started=990.0)
    assert acts(unpinned(runs)) == [Launch(Stage.PREPARE, 0, 1)]


def test_models_that_cannot_be_pinned_end_the_search_and_cost_no_trial() -> None:
    changed = "teacher.model must be what it was when the search was prepared"
    failed = replace(AGAIN, exit_code=Exit.BAD_DATA, message=changed)
    seen = unpinned(FIRST, failed)
    decision = decide.decide(SPEC, seen)
    assert acts(seen) == []
    assert decision.done is not None
    assert (decision.done.reason, decision.done.message) == ("PreparationFailed", changed)
    assert conditions.prepared(SPEC, seen, decision.closing).status == "False"


def test_a_teacher_with_metrics_out_of_bounds_fails_the_preparation() -> None:
    report = replace(REPORT, teacher={"exact": 250.0})
    seen = worlds.observation((), (FIRST,), {FIRST: report}, preparation=None)
    decision = decide.decide(SPEC, seen)
    assert acts(seen) == []
    assert decision.done is not None
    assert decision.done.reason == "PreparationFailed"
    assert "exact" in decision.done.message
    assert "250" in decision.done.message


def test_a_preparation_of_other_data_is_neither_kept_nor_counted() -> None:
    seen = worlds.observation((), (), preparation=None)
    made = Provenance(generation=1, request=FIRST.digest)
    past = PastAttempt(1, "uid", over=True, exit_code=Exit.BAD_DATA, started=1.0, provenance=made)
    seen = replace(seen, preparing=(past,), preparation_order="of other data")
    assert acts(seen) == [Launch(Stage.PREPARE, 0, 2)]
    assert acts(replace(seen, preparation_order=FIRST.digest)) == []


def test_the_next_preparation_waits_until_one_of_other_data_is_gone() -> None:
    live = replace(FIRST, phase=Phase.RUNNING, exit_code=None, ended=None)
    seen = replace(worlds.observation((), (), preparation=None), foreign=(live,))
    assert not [a for a in acts(seen) if isinstance(a, Launch)]
