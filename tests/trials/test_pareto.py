import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillery_operator.trials import feasibility, hypervolume, pareto
from distillery_operator.trials.trial import State, Trial
from support import worlds

SPEC = worlds.experiment().spec
REFERENCE = hypervolume.reference(SPEC, worlds.PREPARATION)

trials = st.lists(
    st.builds(
        worlds.completed,
        number=st.integers(0, 0),
        exact=st.integers(0, 100).map(float),
        layers=st.integers(1, 6),
        has=st.integers(0, 100).map(float),
        no=st.integers(0, 100).map(float),
    ),
    max_size=12,
).map(lambda found: [replace(t, number=n) for n, t in enumerate(found)])


def beats(a: Trial, b: Trial) -> bool:
    more, less = ("exact", "parameter_count")
    at_least = a.metrics[more] >= b.metrics[more] and a.metrics[less] <= b.metrics[less]
    return at_least and (a.metrics[more], a.metrics[less]) != (b.metrics[more], b.metrics[less])


@given(trials)
def test_the_front_is_what_no_feasible_trial_beats(found: list[Trial]) -> None:
    feasible = [t for t in found if feasibility.verdict(SPEC, t).feasible]
    front = pareto.front(SPEC, found)
    assert all(not beats(other, point) for point in front for other in feasible)
    values = {(p.metrics["exact"], p.metrics["parameter_count"]) for p in front}
    for trial in feasible:
        on = (trial.metrics["exact"], trial.metrics["parameter_count"]) in values
        assert on or any(beats(point, trial) for point in front)
    assert len(values) == len(front)
    assert [p.metrics["exact"] for p in front] == sorted(
        (p.metrics["exact"] for p in front), reverse=True
    )


@given(trials, st.randoms(use_true_random=False))
def test_the_order_of_trials_does_not_change_the_front(
    found: list[Trial], random: st.DataObject
) -> None:
    def values(some: list[Trial]) -> list[tuple[float, ...]]:
        return [tuple(p.metrics.values())[:2] for p in pareto.front(SPEC, some)]

    mixed = list(found)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert values(mixed) == values(found)


@given(trials)
def test_the_hypervolume_is_the_area_of_the_staircase(found: list[Trial]) -> None:
    corner = hypervolume.corner(SPEC, REFERENCE)
    area = 0.0
    points = [
        (-p.metrics["exact"], p.metrics["parameter_count"]) for p in pareto.front(SPEC, found)
    ]
    inside = [p for p in sorted(points) if p[0] < corner[0] and p[1] < corner[1]]
    height = float(corner[1])
    for point, following in itertools.zip_longest(inside, inside[1:]):
        right = following[0] if following else corner[0]
        height = min(height, point[1])
        area += (right - point[0]) * (corner[1] - height)
    assert pareto.hypervolume(SPEC, found, corner) == pytest.approx(area)


@given(trials)
def test_more_trials_never_shrink_the_hypervolume(found: list[Trial]) -> None:
    corner = hypervolume.corner(SPEC, REFERENCE)
    grown = [pareto.hypervolume(SPEC, found[:n], corner) for n in range(len(found) + 1)]
    assert grown == sorted(grown)


def test_the_knee_is_the_bend_of_the_front() -> None:
    points = [worlds.completed(0, 90, 6), worlds.completed(1, 88, 2), worlds.completed(2, 60, 1)]
    knee = pareto.knee(SPEC, pareto.front(SPEC, points))
    assert knee is not None
    assert knee.number == 1
    assert pareto.knee(SPEC, points[:2]) is None


def test_a_collapse_passes_the_threshold_of_exact_but_not_the_guard() -> None:
    collapse = worlds.completed(0, 50.07, 1, has=0.0, no=100.0)
    verdict = feasibility.verdict(SPEC, collapse)
    assert (verdict.feasible, verdict.reason) == (False, "Collapsed")
    assert "no question is answered" in verdict.message
    assert "HasAns_exact >= 10 must hold, but got 0" in verdict.message


@pytest.mark.parametrize(
    ("trial", "reason"),
    [
        (worlds.completed(0, 80.0, 1), "Completed"),
        (worlds.completed(0, 49.0, 1), "ThresholdMissed"),
        (worlds.completed(0, 60.0, 1, has=9.0, no=80.0), "ConstraintViolated"),
        (worlds.completed(0, 48.0, 1, has=98.0, no=0.5), "Collapsed"),
        (Trial(0, {}, state=State.INFEASIBLE, reason="Diverged", message="NaN"), "Diverged"),
        (Trial(0, {}, state=State.FAILED, reason="Crashed"), "Crashed"),
        (Trial(0, {}), "Running"),
    ],
)
def test_a_verdict_has_one_word(trial: Trial, reason: str) -> None:
    verdict = feasibility.verdict(SPEC, trial)
    assert verdict.reason == reason
    assert verdict.feasible is (reason == "Completed")


def test_every_trial_has_the_same_constraints() -> None:
    ended = (worlds.completed(0, 80.0, 1), Trial(1, {}, state=State.INFEASIBLE))
    names = [list(feasibility.violations(SPEC, trial)) for trial in ended]
    assert names[0] == names[1]
    assert all(v <= 0 for v in feasibility.violations(SPEC, ended[0]).values())
    assert feasibility.violations(SPEC, ended[1])["ended_early"] > 0


def test_an_edited_threshold_holds_for_the_trials_of_yesterday() -> None:
    trial = worlds.completed(0, 60.0, 1)
    stricter = worlds.experiment(
        objectives=[
            {"metric": "exact", "direction": "Maximize", "threshold": 70},
            {"metric": "parameter_count", "direction": "Minimize"},
        ]
    ).spec
    assert pareto.front(SPEC, [trial]) == [trial]
    assert pareto.front(stricter, [trial]) == []


def test_the_order_of_asha_goes_layer_by_layer_and_within_one_to_the_farthest() -> None:
    front = [(0.0, 1.0), (0.1, 0.9), (1.0, 0.0), (0.5, 0.5)]
    beaten = [(1.0, 1.0), (0.6, 0.6)]
    costs = [*beaten, *front]
    order = sorted(range(6), key=pareto.Ranking(costs).place)
    assert [costs[n] for n in order] == [(0, 1), (1, 0), (0.5, 0.5), (0.1, 0.9), (0.6, 0.6), (1, 1)]


def test_equal_points_have_places_one_after_the_other() -> None:
    ranking = pareto.Ranking([(1.0, 1.0)] * 4)
    assert sorted(map(ranking.place, range(4))) == [0, 1, 2, 3]


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=30),
    st.integers(0, 30),
)
def test_the_first_of_a_ranking_are_those_with_the_first_places(
    costs: list[tuple[int, int]], count: int
) -> None:
    ranking = pareto.Ranking(costs)
    assert ranking.first(count) == {n for n in range(len(costs)) if ranking.place(n) < count}


def test_a_sample_has_the_front_and_what_lies_all_over_the_rest() -> None:
    trials = [worlds.completed(n, 50 + 40 * (n * 0.618 % 1), 1 + n % 6) for n in range(300)]
    chosen = pareto.sample(SPEC, trials, 60)
    assert len(chosen) == len({t.number for t in chosen}) == 60
    assert [t.number for t in chosen] == sorted(t.number for t in chosen)
    assert {t.number for t in pareto.front(SPEC, trials)} <= {t.number for t in chosen}
    assert all(any(lo <= t.number < lo + 50 for t in chosen) for lo in range(0, 300, 50))
    assert pareto.sample(SPEC, trials, 300) == trials


def test_trials_of_a_warm_start_that_have_the_same_numbers_are_no_reason_to_take_others() -> None:
    own = [worlds.completed(n, 50 + 40 * (n * 0.618 % 1), 1 + n % 6) for n in range(150)]
    before = [replace(worlds.completed(n, 99.0, 1), state=State.FAILED) for n in range(150)]
    chosen = pareto.sample(SPEC, [*before, *own], 60)
    assert sum(trial.state is State.COMPLETED for trial in chosen) >= 30
    fit = [replace(trial, number=150 + trial.number) for trial in own]
    renamed = [replace(trial, number=150 + trial.number) for trial in chosen if trial in own]
    assert renamed == [t for t in pareto.sample(SPEC, [*before, *fit], 60) if t in fit]
