"""What a moment of a long search costs, as counts of calls: nothing is done twice for it."""

from collections import Counter
from dataclasses import replace

from distillery_contract.request import Stage
from distillery_operator.engine import decide, statistics, status
from distillery_operator.search import duplicates
from distillery_operator.trials.attempt import Attempt, Phase
from distillery_operator.trials.observation import Observation
from distillery_operator.trials.trial import State, Trial
from support import calls, worlds

WANTED = worlds.experiment(maxTrials=9000, stagnation={}, parallelism=3)
SPEC = WANTED.spec
JUDGE = "distillery_operator.trials.feasibility.judge"
FRONT = "distillery_operator.trials.pareto.kept"


def seen(count: int) -> Observation:
    """Return a moment of a search with so many ended trials, one that runs and one free slot."""
    ended = [
        worlds.completed(n, 40.0 + n % 37, 1 + n % 6, ended=10.0 * n)
        if n % 3
        else replace(
            worlds.completed(n, 30.0, 6, ended=10.0 * n),
            state=State.STOPPED,
            reason="CannotImprove",
        )
        for n in range(count)
    ]
    runs = Attempt(Stage.TRAIN, count, 1, Phase.RUNNING, started=1.0)
    return worlds.observation((*ended, Trial(count, {"n_layers": 2})), (runs,))


def work(found: Observation) -> Counter[str]:
    """Return what deciding, the status and the statistics of a moment call."""

    def visit() -> None:
        decision = decide.decide(SPEC, found)
        status.derive(WANTED, found, decision, None)
        statistics.derive(SPEC, found, decision.done)

    return calls.counted(visit)


def test_decision_status_and_statistics_of_a_moment_judge_each_trial_once() -> None:
    assert work(seen(60))[JUDGE] <= 60 + 20  # those that the status shows say why in a sentence


def test_of_a_moment_that_follows_another_one_only_what_changed_is_judged() -> None:
    first = seen(60)
    work(first)
    told = worlds.completed(60, 50.0, 2, ended=900.0)
    then = replace(
        first, trials=(*first.trials[:60], told), attempts=(), before=first.verdicts(SPEC)
    )
    assert work(then)[JUDGE] <= 1 + 20


def test_the_front_of_a_moment_is_computed_once() -> None:
    """Of all trials, of those that trained, and for stagnation before and after its window."""
    assert work(seen(60))[FRONT] == 4


def test_a_suggestion_is_compared_in_full_only_with_those_of_its_learning_rate() -> None:
    fresh = Trial(60, {"learning_rate": 0.2, "n_layers": 2})
    twin = replace(worlds.completed(61, 50.0, 2), parameters=fresh.parameters)
    trials = (*seen(60).trials[:60], fresh, twin)
    found = calls.counted(lambda: duplicates.earlier(trials, worlds.SOURCES, {60}))
    assert found["distillery_operator.search.duplicates._lasting"] == 3


def test_the_work_of_a_moment_grows_no_faster_than_the_trials() -> None:
    few, many = (sum(work(seen(count)).values()) for count in (1500, 3000))
    assert many < 2.1 * few
