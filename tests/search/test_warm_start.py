"""Which trials of another experiment inform the sampler, and why others do not."""

from dataclasses import replace
from typing import Any

import pytest

from distillery_operator.engine import conditions
from distillery_operator.errors import NotFound, Unfit
from distillery_operator.resource import space
from distillery_operator.resource.spec import WarmStart
from distillery_operator.search import warm_start
from distillery_operator.search.suggester import Suggester
from distillery_operator.stopping import reasons
from distillery_operator.trials import feasibility
from distillery_operator.trials.trial import Point, State, Trial
from support import worlds

SPEC = worlds.experiment(maxTrials=100).spec
FROM = WarmStart(experiment="first")
OBJECTIVES = {"exact": "Maximize", "parameter_count": "Minimize"}
FIXED = {"epochs": 1, "temperature": 2.0}


def trial(number: int = 0, **parameters: Any) -> Trial:
    made = worlds.completed(number, 70.0 + number, 2, ended=float(number))
    return replace(made, parameters={**FIXED, **made.parameters, **parameters})


def source(
    *trials: Trial, key: str = "key", objectives: dict[str, str] = OBJECTIVES
) -> warm_start.Source:
    return warm_start.Source(objectives, key, trials)


def taken(*trials: Trial) -> tuple[Trial, ...]:
    return warm_start.fitting(SPEC, "key", FROM, source(trial(9), *trials))[:-1]


def test_a_trial_that_could_have_been_suggested_here_informs_the_sampler() -> None:
    (found,) = taken(trial(1, seed=7))
    assert found.parameters == space.reduced(SPEC, trial().parameters)
    assert (found.state, found.metrics) == (State.COMPLETED, trial(1).metrics)


@pytest.mark.parametrize(
    "parameters",
    [
        {"learning_rate": 0.9},  # outside the bounds
        {"n_layers": 7},
        {"temperature": 3.0},  # fixed here, at another value
        {"epochs": 3},
        {"dropout": 0.3},  # at its default here
    ],
)
def test_a_trial_with_another_value_of_what_is_fixed_or_bounded_does_not_fit(
    parameters: dict[str, Any],
) -> None:
    assert taken(trial(1, **parameters)) == ()


def test_a_default_is_a_value_like_any_other() -> None:
    implicit = {n: v for n, v in trial().parameters.items() if n != "temperature"}
    assert len(taken(replace(trial(1), parameters=implicit))) == 1  # 2.0 is its default
    assert taken(replace(trial(1), parameters={**FIXED, "n_layers": 2})) == ()  # learning_rate


def test_a_trial_that_started_from_another_pretrained_student_does_not_fit() -> None:
    fixed = {**FIXED, "initialization": "Pretrained"}
    student: dict[str, str | None] = {"model": "small", "revision": "v1"}
    spec = worlds.experiment(training=fixed, student=student, maxTrials=100).spec
    others = [student, {**student, "revision": None}, {**student, "model": "large"}]
    trials = [trial(n, initialization="Pretrained") for n in range(4)]  # of the last none knows
    given = replace(source(*trials), students=dict(enumerate(others)))
    assert [t.number for t in warm_start.fitting(spec, "key", FROM, given)] == [0]
    asked = WarmStart(experiment="first", other_data=True)
    assert len(warm_start.fitting(spec, "key", asked, given)) == 4
    with pytest.raises(Unfit, match=r"or started from another student\.model"):
        warm_start.fitting(spec, "key", FROM, source(*trials))


def test_only_endings_that_tell_something_count() -> None:
    endings = [replace(trial(n), state=state) for n, state in enumerate(State)]
    found = {t.state for t in taken(*endings)}
    assert found == {State.COMPLETED, State.INFEASIBLE, State.STOPPED}


def test_what_was_never_trained_or_is_a_copy_does_not_count() -> None:
    stopped = replace(trial(1), state=State.STOPPED, reason=reasons.CANNOT_IMPROVE)
    halted = replace(stopped, number=2, curve=(Point(10, {"exact": 30.0}),))
    copied = replace(trial(3), reason=feasibility.DUPLICATE)
    assert [t.number for t in taken(stopped, halted, copied)] == [2]
    with pytest.raises(Unfit, match="no trial of first has ended with a result yet"):
        warm_start.fitting(SPEC, "key", FROM, source(stopped))


def test_the_last_thousand_trials_are_taken_in_the_order_of_their_ends() -> None:
    many = [replace(trial(n), ended=2000.0 - n) for n in range(1200)]
    found = warm_start.fitting(SPEC, "key", FROM, source(*many))
    assert [t.number for t in found] == list(range(999, -1, -1))


def test_gaussian_processes_get_what_their_limit_leaves_evenly_over_all_sources() -> None:
    given = {
        "first": tuple(trial(n) for n in range(900)),
        "second": tuple(trial(n) for n in range(100)),
        "unnamed": (trial(),),
    }

    def counts(kind: str, limit: int) -> dict[str, int]:
        wanted = {"sampler": {"type": kind}, "maxTrials": limit}
        sources = [{"experiment": "first"}, {"experiment": "second"}, {"experiment": "third"}]
        spec = worlds.experiment(**wanted, warmStartFrom=sources).spec
        found = warm_start.informing(spec, given)
        assert all(trial in given[name] for name in found for trial in found[name])
        return {name: len({t.number for t in trials}) for name, trials in found.items()}

    assert counts("TPE", 400) == {"first": 900, "second": 100}
    assert counts("GP", 400) == {"first": 90, "second": 10}
    assert counts("GP", 500) == {"first": 0, "second": 0}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            source(trial(), key="other"),
            "the trials of first were measured on other data, or with another teacher; with"
            " otherData: true they inform the sampler all the same",
        ),
        (
            source(trial(), objectives={"f1": "Maximize"}),
            "the objectives of first must be exact, parameter_count, but are f1",
        ),
        (source(), "no trial of first has ended with a result yet"),
        (source(Trial(0, {})), "no trial of first has ended with a result yet"),
        (source(trial(epochs=3)), "none of the 1 trials of first could have been suggested here"),
    ],
)
def test_a_source_that_does_not_fit_is_refused_with_the_reason(
    given: warm_start.Source, sentence: str
) -> None:
    with pytest.raises(Unfit, match=sentence):
        warm_start.fitting(SPEC, "key", FROM, given)


def test_trials_on_other_data_inform_only_if_asked() -> None:
    asked = WarmStart(experiment="first", other_data=True)
    assert len(warm_start.fitting(SPEC, "key", asked, source(trial(), key="other"))) == 1


def test_the_condition_says_how_many_trials_were_taken_or_why_not() -> None:
    spec = worlds.experiment(warmStartFrom=[{"experiment": "first"}]).spec

    def said(*arguments: Any) -> tuple[str, str, str]:
        (finding,) = conditions.warm_started(spec, *arguments)
        return finding.status, finding.reason, finding.message

    assert said({})[:2] == ("Unknown", "Preparing")
    assert said({"first": (trial(), trial(1))}) == (
        "True", "Taken", "these inform the sampler: 2 trials of first",
    )  # fmt: skip
    assert said({}, Unfit("it does not fit")) == ("False", "SourceUnfit", "it does not fit")
    assert said({}, NotFound("nothing there"))[:2] == ("False", "SourceNotFound")
    assert conditions.warm_started(SPEC, {}) == []


@pytest.mark.parametrize("kind", ["TPE", "NSGAII"])
def test_a_sampler_begins_where_the_other_experiment_ended(kind: str) -> None:
    """All good trials of the other one have six layers and a small learning rate."""
    spec = worlds.experiment(sampler={"type": kind}, maxTrials=100).spec
    rates = [0.01 * 1.1**n for n in range(45)]
    others = [
        replace(
            trial(n, learning_rate=rate, n_layers=1 + n % 6),
            metrics={**trial().metrics, "exact": 90.0 - 2 * n},
        )
        for n, rate in enumerate(rates)
    ]
    own: list[Trial] = []
    cold, hot = Suggester(), Suggester()
    found: dict[str, list[float]] = {"cold": [], "hot": []}
    for number in range(12):
        for name, suggester, history in (("cold", cold, []), ("hot", hot, others)):
            suggested = suggester.suggest(spec, own, worlds.size, history)
            assert suggested == Suggester().suggest(spec, own, worlds.size, history)
            point = dict(suggested or {})
            found[name].append(float(point["learning_rate"]))
        own.append(Trial(number, {**FIXED, **point}))
    assert sorted(found["hot"])[6] < 0.5 * sorted(found["cold"])[6]
