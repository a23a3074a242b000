"""How all trials of a moment are judged: the same whether or not a moment before is known."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from distillery_operator.trials import feasibility, pareto
from distillery_operator.trials.trial import State, Trial
from distillery_operator.trials.verdicts import Ending, Verdicts
from support import calls, worlds

SPEC = worlds.experiment().spec
CORNER = np.array([-40.0, 700_000.0])

exacts = st.sampled_from([0.5, 30.0, 55.0, 60.0, 60.0, 75.0, 99.0])
ends = st.tuples(
    st.sampled_from([*State]),
    exacts,
    st.integers(1, 6),
    st.sampled_from(["Completed", "Duplicate"]),
)


def trial(number: int, state: State, exact: float, layers: int, reason: str) -> Trial:
    """Return a trial that runs, or has ended at one of few moments."""
    made = worlds.completed(number, exact, layers, has=exact / 2, no=min(100.0, exact * 1.5))
    if state is State.RUNNING:
        return replace(made, state=state, metrics={}, reason="")
    expected = {"exact": exact + 1} if state is State.STOPPED else {}
    return replace(made, state=state, reason=reason, ended=float(layers % 3), expected=expected)


def check(found: Verdicts, trials: Sequence[Trial]) -> None:
    """Hold verdicts against what the functions for single trials say."""
    judged = [feasibility.verdict(SPEC, t) for t in trials]
    unfit = [
        t.state is State.COMPLETED and not v.feasible for t, v in zip(trials, judged, strict=True)
    ]
    endings = [
        Ending(State.INFEASIBLE if bad else t.state, v.reason)
        for t, v, bad in zip(trials, judged, unfit, strict=True)
        if t.state is not State.RUNNING
    ]
    assert found.counts == Counter(endings)
    assert found.front == pareto.front(SPEC, trials)
    sound = [t for t in trials if t.reason != feasibility.DUPLICATE]
    assert found.measured_front == pareto.front(SPEC, sound)
    told = [t for t in trials if t.state not in (State.RUNNING, State.FAILED)]
    told.sort(key=lambda t: (t.ended or 0.0, t.number))
    assert [*found.told] == [t.number for t in told]
    assert found.volume(found.told[:-2], CORNER) == pareto.hypervolume(SPEC, told[:-2], CORNER)
    ended = [t for t in trials if t.state is not State.RUNNING]
    assert found.newest(3) == sorted(ended, key=lambda t: -(t.ended or 0.0))[:3]
    fit = feasibility.feasible(SPEC, trials)
    assert found.best == [
        min(fit, key=lambda t: o.direction.sign * t.metrics[o.metric])
        for o in SPEC.objectives
        if fit
    ]


@settings(deadline=None)
@given(st.lists(st.lists(st.tuples(st.integers(0, 12), ends), max_size=5), min_size=1, max_size=6))
def test_what_was_judged_before_changes_no_verdict(
    moments: list[list[tuple[int, tuple[State, float, int, str]]]],
) -> None:
    trials: list[Trial] = []
    before: Verdicts | None = None
    for moment in moments:
        for place, end in moment:
            number = min(place, len(trials))
            trials[number : number + 1] = [trial(number, *end)]
        before = Verdicts.of(SPEC, tuple(trials), before)
        check(before, trials)


def test_only_what_is_another_trial_now_is_judged_anew() -> None:
    trials = tuple(worlds.completed(n, 50.0 + n, 1 + n % 6) for n in range(40))
    before = Verdicts.of(SPEC, trials)
    running = Trial(40, {})
    further = (*trials, running)
    assert Verdicts.of(SPEC, further, before) is before
    ended = (
        *trials[:7],
        replace(trials[7], collected=True),
        *trials[8:],
        worlds.completed(40, 1, 1),
    )
    found = calls.counted(lambda: Verdicts.of(SPEC, ended, before))
    assert found["distillery_operator.trials.feasibility.judge"] == 2


def test_a_study_that_was_restored_is_judged_anew() -> None:
    trials = tuple(worlds.completed(n, 50.0 + n, 1 + n % 6) for n in range(9))
    before = Verdicts.of(SPEC, trials)
    check(Verdicts.of(SPEC, trials[:4], before), trials[:4])
    forgotten = (*trials[:4], trial(4, State.RUNNING, 50.0, 1, ""), *trials[5:])
    check(Verdicts.of(SPEC, forgotten, before), forgotten)


def test_another_spec_judges_for_itself() -> None:
    trials = tuple(worlds.completed(n, 50.0 + n, 3) for n in range(9))
    before = Verdicts.of(SPEC, trials)
    strict = worlds.experiment(
        objectives=[
            {"metric": "exact", "direction": "Maximize", "threshold": 57},
            {"metric": "parameter_count", "direction": "Minimize"},
        ]
    ).spec
    assert [t.number for t in before.front] == [8]
    assert Verdicts.of(strict, trials, before).counts == {
        Ending(State.COMPLETED, "Completed"): 2,
        Ending(State.INFEASIBLE, "ThresholdMissed"): 7,
    }
