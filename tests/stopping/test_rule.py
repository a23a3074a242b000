"""Early stopping by rungs: which trainings end, and that only hopeless ones do."""

import math
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillery_contract import rungs
from distillery_operator.resource.spec import Spec
from distillery_operator.stopping import collapse, reasons
from distillery_operator.stopping.front_aware import FrontAware
from distillery_operator.stopping.rule import Rule
from distillery_operator.trials import learning_curve
from distillery_operator.trials.trial import Point, State, Trial
from support import calls, worlds

STEPS = 90
FRONT = worlds.experiment().spec
ASHA = worlds.experiment(earlyStopping={"type": "ASHA"}).spec


def trial(number: int, exact: float, layers: int, done: float = 1.0, **more: Any) -> Trial:
    """Return a trial that ends at ``exact``, trained to a share of its steps; 1 is its end."""
    ended = worlds.completed(number, exact, layers)
    noise = random.Random(number).uniform(-1, 1)
    points = []
    for step in (round(n * STEPS / 9) for n in range(1, 10)):
        if step <= done * STEPS:
            now = exact * (1 - 0.6 * math.exp(-3 * step / STEPS)) + noise * (1 - step / STEPS)
            found = {"exact": now, "HasAns_exact": now, "NoAns_exact": now}
            points.append(Point(step, found, steps=STEPS, at=float(number)))
    state = State.COMPLETED if done == 1.0 else State.RUNNING
    if state is State.RUNNING:
        ended = replace(ended, metrics={}, reason="")
    return replace(ended, state=state, curve=tuple(points), **more)


def history(count: int = 24) -> tuple[Trial, ...]:
    """Return trials of all sizes; the larger ones end higher, and the best of each size is odd."""
    return tuple(trial(n, 50.0 + 5 * (n % 4) + 6 * (n % 2), 1 + n % 4) for n in range(count))


def stop(spec: Spec, candidate: Trial, others: tuple[Trial, ...]) -> reasons.Stop | None:
    return Rule(spec, (*others, candidate)).stop(candidate)


def test_nothing_stops_before_its_first_rung() -> None:
    for spec in (FRONT, ASHA):
        assert stop(spec, trial(24, 20.0, 4, done=0.0), history()) is None


def test_a_training_that_will_be_beaten_by_a_smaller_model_stops() -> None:
    found = stop(FRONT, trial(24, 57.0, 4, done=0.34), history())
    assert found is not None
    assert found.reason == reasons.CANNOT_IMPROVE
    assert "which is not larger" in found.message
    assert "after 33% of the training" in found.message


def test_a_stop_says_which_end_was_expected_in_all_that_is_judged() -> None:
    spec = worlds.experiment(constraints=[{"metric": "NoAns_exact", "minimum": 40}]).spec
    found = stop(spec, trial(24, 57.0, 4, done=0.34), history())
    assert found is not None
    assert found.expected.keys() == {"exact", "HasAns_exact", "NoAns_exact"}
    assert found.expected["exact"] == pytest.approx(57.0, abs=3.0)


def test_where_a_new_constraint_was_never_measured_no_end_is_expected() -> None:
    spec = worlds.experiment(constraints=[{"metric": "f1", "minimum": 40}]).spec
    found = stop(spec, trial(24, 57.0, 4, done=0.34), history())
    assert found is None  # nothing is feasible
    lower = worlds.experiment(constraints=[{"metric": "inference_seconds", "maximum": 1}]).spec
    timed = tuple(replace(t, metrics={**t.metrics, "inference_seconds": 0.1}) for t in history())
    found = stop(lower, trial(24, 57.0, 4, done=0.34), timed)
    assert found is not None
    assert found.expected == {}  # the curves do not have it


def copies(first: int, count: int, of: Trial) -> tuple[Trial, ...]:
    """Return repetitions of a trial, answered from its record."""
    again = replace(of, reason="Duplicate", curve=(), seconds=0.0)
    return tuple(replace(again, number=first + n) for n in range(count))


def test_who_repeats_a_trial_teaches_nothing_of_others() -> None:
    ended = tuple(trial(n, 80.0 - 2 * (n % 4), 1 + n % 4) for n in range(9))
    hopeless = replace(trial(40, 50.0, 4, done=0.0), curve=())
    assert FrontAware(FRONT, (*ended, *copies(9, 20, ended[3]))).improves(hopeless, 4.0)
    assert not FrontAware(FRONT, (*ended, trial(9, 78.0, 2))).improves(hopeless, 4.0)
    one = (*(trial(n, 30.0, 1 + n) for n in range(5)), trial(5, 60.0, 2))
    training = trial(40, 20.0, 4, done=0.34)
    assert stop(FRONT, training, (*one, *copies(6, 20, one[5]))) is None


def test_where_size_is_no_objective_nothing_is_said_of_it() -> None:
    spec = worlds.experiment(objectives=worlds.DOCUMENT["spec"]["objectives"][:1]).spec
    found = stop(spec, trial(24, 57.0, 1, done=0.34), history())
    assert found is not None
    assert "larger" not in found.message


def test_a_training_that_will_miss_the_threshold_stops() -> None:
    found = stop(FRONT, trial(24, 40.0, 1, done=0.34), history())
    assert found is not None
    assert "but the threshold is 50" in found.message


def test_the_same_training_goes_on_where_no_smaller_model_is_better() -> None:
    assert stop(FRONT, trial(24, 57.0, 1, done=0.34), history()) is None


def test_a_training_that_may_still_lead_goes_on() -> None:
    assert stop(FRONT, trial(24, 75.0, 4, done=0.34), history()) is None


def test_without_enough_ended_trials_nothing_stops() -> None:
    assert stop(FRONT, trial(24, 20.0, 4, done=0.34), history(9)) is not None
    shyer = worlds.experiment(earlyStopping={"minTrials": 10}).spec
    assert stop(shyer, trial(24, 20.0, 4, done=0.34), history(9)) is None


def test_before_some_are_feasible_nothing_stops() -> None:
    few = tuple(trial(n, 40.0 + 12 * (n % 8 == 7), 1 + n % 4) for n in range(24))
    more = tuple(trial(n, 40.0 + 12 * (n % 6 == 5), 1 + n % 4) for n in range(24))
    hopeless = trial(24, 20.0, 4, done=0.34)
    assert stop(FRONT, hopeless, few) is None  # three of them reach 50
    assert stop(FRONT, hopeless, more) is not None  # four


def test_a_lower_threshold_lets_a_training_go_on() -> None:
    lower = worlds.experiment(
        objectives=[
            {"metric": "exact", "direction": "Maximize", "threshold": 20},
            {"metric": "parameter_count", "direction": "Minimize"},
        ]
    ).spec
    others = tuple(t for t in history() if t.parameters["n_layers"] != 1)
    candidate = trial(24, 40.0, 1, done=0.34)
    assert stop(FRONT, candidate, others) is not None
    assert stop(lower, candidate, others) is None


def test_less_confidence_stops_more() -> None:
    candidates = [trial(24, 60.0 + n / 4, 4, done=0.12) for n in range(60)]
    counts = []
    for confidence in (0, 1.64, 10):
        spec = worlds.experiment(earlyStopping={"confidence": confidence}).spec
        counts.append(sum(stop(spec, c, history()) is not None for c in candidates))
    assert counts[0] > counts[1] > counts[2]


def test_an_objective_that_only_a_training_shows_is_predicted_too() -> None:
    spec = worlds.experiment(
        objectives=[
            {"metric": "exact", "direction": "Maximize", "threshold": 50},
            {"metric": "inference_seconds", "direction": "Minimize"},
        ]
    ).spec

    def timed(made: Trial, seconds: float) -> Trial:
        curve = tuple(
            replace(p, metrics={**p.metrics, "inference_seconds": seconds}) for p in made.curve
        )
        measured = {**made.metrics, "inference_seconds": seconds} if made.metrics else {}
        return replace(made, curve=curve, metrics=measured)

    ended = tuple(timed(t, 1.0 + 0.1 * (n % 4)) for n, t in enumerate(history()))
    slow, fast = (timed(trial(24, 57.0, 4, done=0.34), s) for s in (2.0, 0.2))
    assert stop(spec, slow, ended) is not None
    assert stop(spec, fast, ended) is None


def test_without_a_final_measurement_at_a_rung_nothing_is_learnt() -> None:
    bare = tuple(replace(t, curve=()) for t in history())
    assert stop(FRONT, trial(24, 20.0, 4, done=0.34), bare) is None


def test_stopping_can_be_switched_off() -> None:
    off = worlds.experiment(earlyStopping={"type": "None"}).spec
    assert stop(off, trial(24, 20.0, 4, done=0.34), history()) is None


def collapsed(made: Trial) -> Trial:
    nothing = {"exact": 50.0, "HasAns_exact": 0.1, "NoAns_exact": 99.8}
    return replace(made, curve=tuple(replace(p, metrics=nothing) for p in made.curve))


@pytest.mark.parametrize("type_", ["FrontAware", "ASHA", "None"])
def test_a_model_that_still_answers_nothing_after_a_third_of_its_steps_stops(type_: str) -> None:
    spec = worlds.experiment(earlyStopping={"type": type_}).spec
    found = stop(spec, collapsed(trial(0, 60.0, 2, done=0.34)), ())
    assert found is not None
    assert found.reason == "Collapsed"
    assert "HasAns_exact 0.1, NoAns_exact 99.8" in found.message


def test_a_training_that_has_done_all_its_steps_has_nothing_left_to_stop() -> None:
    done = replace(trial(0, 60.0, 2), state=State.RUNNING, metrics={}, reason="")
    nearly = replace(done, curve=done.curve[:-1])
    for spec in (FRONT, ASHA):
        assert stop(spec, collapsed(nearly), ()) is not None
        assert stop(spec, collapsed(done), ()) is None


def test_a_training_of_few_steps_has_three_tenths_of_them_to_leave_the_collapse() -> None:
    made = collapsed(trial(0, 60.0, 2, done=0.12))
    for steps, judged in ((3, True), (4, False)):
        short = replace(made, curve=(replace(made.curve[0], step=1, steps=steps),))
        assert (stop(FRONT, short, ()) is not None) is judged


def test_a_model_that_answers_nothing_yet_goes_on() -> None:
    assert stop(FRONT, collapsed(trial(0, 60.0, 2, done=0.2)), ()) is None


def test_where_none_has_left_the_collapse_the_next_stops_at_its_first_rung() -> None:
    candidate = collapsed(trial(24, 60.0, 2, done=0.12))
    stayed = tuple(collapsed(trial(n, 60.0, 2, done=0.34)) for n in range(collapse.WITNESSES))
    found = stop(FRONT, candidate, stayed)
    assert found is not None
    assert found.reason == "Collapsed"
    assert stop(FRONT, candidate, stayed[1:]) is None
    early = replace(candidate, curve=())
    assert stop(FRONT, early, stayed) is None


def test_where_one_has_left_the_collapse_the_next_gets_its_time() -> None:
    candidate = collapsed(trial(24, 60.0, 2, done=0.12))
    stayed = tuple(collapsed(trial(n, 60.0, 2, done=0.34)) for n in range(20))
    later = trial(20, 60.0, 2, done=0.6)
    left = replace(later, curve=(*collapsed(later).curve[:2], *later.curve[2:]))
    assert stop(FRONT, candidate, (*stayed, left)) is None


def test_a_model_that_has_left_the_collapse_goes_on() -> None:
    made = trial(0, 60.0, 2, done=0.34)
    left = replace(made, curve=(*collapsed(made).curve[:-1], made.curve[-1]))
    assert stop(FRONT, left, ()) is None


def test_one_evaluation_that_falls_back_into_the_collapse_is_forgiven() -> None:
    made = trial(0, 60.0, 2, done=0.6)
    fallen = replace(made, curve=(*made.curve[:-1], collapsed(made).curve[-1]))
    assert stop(FRONT, fallen, ()) is None


def test_a_collapse_that_is_the_best_so_far_is_not_forgiven() -> None:
    made = trial(0, 30.0, 2, done=0.34)
    fallen = replace(made, curve=(*made.curve[:-1], collapsed(made).curve[-1]))
    found = stop(FRONT, fallen, ())
    assert found is not None
    assert found.reason == "Collapsed"
    assert found.expected == {}
    assert stop(FRONT, replace(fallen, curve=fallen.curve[1:]), ()) == found


def test_the_collapse_rule_can_be_switched_off() -> None:
    off = worlds.experiment(earlyStopping={"collapse": False}).spec
    assert stop(off, collapsed(trial(0, 60.0, 2, done=0.34)), ()) is None


def test_a_collapse_that_the_constraints_allow_stops_nothing() -> None:
    allowed = [{"metric": m, "minimum": 0} for m in ("HasAns_exact", "NoAns_exact")]
    spec = worlds.experiment(constraints=allowed).spec
    assert stop(spec, collapsed(trial(0, 60.0, 2, done=0.34)), ()) is None


def test_where_every_question_has_an_answer_no_model_collapses() -> None:
    data = {**worlds.DOCUMENT["spec"]["data"], "unanswerable": False}
    spec = worlds.experiment(data=data).spec
    assert stop(spec, collapsed(trial(0, 60.0, 2, done=0.34)), ()) is None


def test_asha_lets_one_in_three_go_on() -> None:
    found = stop(ASHA, trial(24, 40.0, 4, done=0.2), history())
    assert found is not None
    assert found.reason == reasons.OUTRANKED
    assert "after 11% of the training" in found.message
    assert stop(ASHA, trial(24, 90.0, 1, done=0.2), history()) is None


def test_asha_does_not_judge_by_what_came_later() -> None:
    first = trial(0, 40.0, 4, done=0.2)
    assert Rule(ASHA, (first, *history()[1:])).stop(first) is None


def test_a_rung_is_the_first_evaluation_at_or_after_it() -> None:
    made = trial(0, 80.0, 2)
    point = learning_curve.reading(made, 0.33)
    assert point is not None
    assert point.step == rungs.step(0.33, STEPS) == 30
    assert learning_curve.reading(replace(made, curve=made.curve[:2]), 0.33) is None
    soon = replace(made.curve[3], step=38)
    assert learning_curve.reading(replace(made, curve=(soon, *made.curve[4:])), 0.33) == soon
    assert (
        learning_curve.reading(replace(made, curve=made.curve[4:]), 0.33) is None
    )  # it was missed


@pytest.mark.parametrize("steps", [1, 2, 7, 1000])
def test_every_training_is_measured_at_a_rung_within_its_steps(steps: int) -> None:
    assert all(1 <= rungs.step(share / 100, steps) <= steps for share in range(1, 100))


@given(
    st.lists(st.integers(1, 200), max_size=30, unique=True),
    st.sampled_from([None, 100, 200]),
    st.lists(st.floats(0.01, 0.99), min_size=1, max_size=4),
)
def test_what_is_kept_of_a_curve_reads_the_same_at_every_rung(
    steps: list[int], planned: int | None, shares: list[float]
) -> None:
    curve = tuple(Point(step, {}, steps=planned) for step in sorted(steps))
    whole = Trial(0, {}, curve=curve)
    telling = learning_curve.telling([(p.step, p.steps) for p in curve], shares)
    kept = replace(whole, curve=tuple(curve[place] for place in telling))
    assert len(kept.curve) <= len(shares) + 1
    assert kept.curve[-1:] == whole.curve[-1:]
    for share in shares:
        assert learning_curve.reading(kept, share) == learning_curve.reading(whole, share)
    assert learning_curve.rung(kept, shares) == learning_curve.rung(whole, shares)


def test_asha_reads_each_curve_once_however_many_train() -> None:
    others = history(60)
    training = tuple(trial(60 + n, 80.0, 4, done=0.34) for n in range(20))
    rule = Rule(ASHA, (*others, *training))
    counts = calls.counted(lambda: [rule.stop(one) for one in training])
    # Each of those that train is looked at a few times besides, to find its rung.
    assert counts["distillery_operator.trials.learning_curve.reading"] <= 80 + 20 * 5


def test_of_very_many_trainings_a_forecast_learns_from_a_thousand() -> None:
    many = tuple(replace(t, number=n) for n, t in enumerate(history(24) * 60))
    training = trial(len(many), 57.0, 4, done=0.34)
    rule = Rule(FRONT, (*many, training))
    counts = calls.counted(lambda: rule.stop(training))
    rows = counts["distillery_operator.stopping.front_aware.FrontAware._row"]
    assert 3000 <= rows < 3100  # three metrics are foreseen
    found = rule.stop(training)
    assert found is not None
    assert found.expected["exact"] == pytest.approx(57.0, abs=3.0)


def test_of_very_many_stopped_trainings_those_near_the_front_may_go_on() -> None:
    ended = history()
    near, far = (
        replace(trial(0, end, 2, done=0.34), state=State.STOPPED, reason=reasons.CANNOT_IMPROVE)
        for end in (90.0, 20.0)
    )
    stopped = [replace(near, expected={"exact": 75.0})]
    stopped += [replace(far, expected={"exact": 20.0 + n / 1000}) for n in range(1500)]
    numbered = [replace(t, number=len(ended) + n) for n, t in enumerate(stopped)]
    assert Rule(FRONT, (*ended, *numbered)).promotions == [len(ended)]
