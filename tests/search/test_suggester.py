"""The sampler's memory: it suggests what one built anew would, whatever happened before."""

import math
import subprocess
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distillery_contract.parameters import Value
from distillery_operator.engine import decide
from distillery_operator.resource import space
from distillery_operator.resource.sampler import Sampler
from distillery_operator.resource.spec import Spec
from distillery_operator.search import grid_and_random, optuna_samplers
from distillery_operator.search.suggester import Suggester
from distillery_operator.stopping import reasons
from distillery_operator.trials.trial import Point, State, Trial
from support import calls, worlds

OBJECTIVES = worlds.DOCUMENT["spec"]["objectives"]
SAMPLER = {"startupTrials": 3, "seed": 7}
TWO = worlds.experiment(sampler=SAMPLER).spec
STRICTER = worlds.experiment(
    sampler=SAMPLER, objectives=[{**OBJECTIVES[0], "threshold": 70}, OBJECTIVES[1]]
).spec
ONE = worlds.experiment(sampler=SAMPLER, objectives=OBJECTIVES[:1]).spec
TIED = [
    *worlds.DOCUMENT["spec"]["parameters"],
    {
        "name": "dropout",
        "type": "Float",
        "low": 0,
        "high": 0.5,
        "when": {"parameter": "n_layers", "minimum": 3},
    },
]
"""dropout is searched for students of three layers or more."""
TIED_TWO = worlds.experiment(sampler=SAMPLER, parameters=TIED).spec
TIED_ONE = worlds.experiment(sampler=SAMPLER, parameters=TIED, objectives=OBJECTIVES[:1]).spec

STEPPED: list[dict[str, object]] = [
    {"name": "learning_rate", "type": "Float", "low": 0.1, "high": 0.7, "step": 0.1},
    {"name": "n_layers", "type": "Int", "low": 1, "high": 6},
    {
        "name": "dropout",
        "type": "Float",
        "low": 0.05,
        "high": 0.95,
        "step": 0.15,
        "when": {"parameter": "learning_rate", "values": [0.3, 0.6, 0.7]},
    },
    {
        "name": "weight_decay",
        "type": "Float",
        "low": 0,
        "high": 0.5,
        "when": {"parameter": "learning_rate", "maximum": 0.3},
    },
]
"""Three steps of 0.1 above 0.0 are 0.30000000000000004 to a computer."""
STEPPED_TWO = worlds.experiment(sampler=SAMPLER, parameters=STEPPED).spec


def outcome(trial: Trial, state: State, exact: float) -> Trial:
    metrics = {"exact": exact, "HasAns_exact": exact, "NoAns_exact": 80.0, "parameter_count": 1e6}
    measured = metrics if state is State.COMPLETED else {}
    made = replace(trial, state=state, metrics=measured, curve=(Point(1, metrics),))
    if state is State.STOPPED:
        made = replace(made, reason=reasons.CANNOT_IMPROVE, metrics=metrics, expected=better(made))
    return made


def better(trial: Trial) -> dict[str, float]:
    """Return an end that could be expected of a training."""
    found = trial.curve[-1].metrics
    return {name: found[name] + 5 for name in ("exact", "HasAns_exact", "NoAns_exact")}


def anew(spec: Spec, trials: Sequence[Trial]) -> Mapping[str, Value] | None:
    return Suggester().suggest(spec, trials, worlds.size)


class History:
    """A study's life, with what a sampler that remembers and one built anew suggest at each ask."""

    def __init__(self, spec: Spec) -> None:
        self.spec, self.trials, self.suggester = spec, list[Trial](), Suggester()

    def ask(self, stored: bool) -> None:
        suggested = self.suggester.suggest(self.spec, self.trials, worlds.size)
        assert suggested == anew(self.spec, self.trials)
        if stored and suggested is not None:
            parameters = {**self.spec.training, **suggested}
            self.trials.append(Trial(len(self.trials), parameters))

    def baseline(self) -> None:
        """One of its parameters is outside the search space."""
        parameters = {"n_layers": 12, "learning_rate": 0.1}
        self.trials.append(Trial(len(self.trials), parameters, baseline="deep"))

    def end(self, which: int, state: State, exact: float) -> None:
        running = [t for t in self.trials if t.state is State.RUNNING]
        if running:
            trial = running[which % len(running)]
            self.trials[trial.number] = outcome(trial, state, exact)

    def evaluate(self) -> None:
        self.trials = [replace(t, curve=(*t.curve, Point(len(t.curve), {}))) for t in self.trials]

    def read_anew(self) -> None:
        self.trials = [replace(t, parameters=dict(t.parameters)) for t in self.trials]

    def restore(self) -> None:
        """The database is put back, and another process has suggested something else since."""
        if self.trials:
            number = len(self.trials) - 1
            self.trials[number] = Trial(number, {"n_layers": 3, "learning_rate": 0.02})


ENDS = st.tuples(
    st.just(History.end),
    st.integers(0, 9),
    st.sampled_from([State.COMPLETED, State.STOPPED, State.INFEASIBLE, State.FAILED]),
    st.floats(40, 90),
)
STEPS = st.one_of(
    st.tuples(st.just(History.ask), st.just(True)),
    st.tuples(st.just(History.ask), st.booleans()),
    ENDS,
    ENDS,
    st.tuples(st.sampled_from([History.baseline, History.evaluate])),
    st.tuples(st.sampled_from([History.read_anew, History.restore])),
    st.tuples(st.just(setattr), st.just("spec"), st.sampled_from([TWO, STRICTER])),
)


@pytest.mark.parametrize("spec", [TWO, ONE, TIED_TWO, TIED_ONE, STEPPED_TWO])
def test_it_suggests_what_one_built_anew_would(spec: Spec) -> None:
    @settings(max_examples=60, deadline=None)
    @given(st.lists(STEPS, min_size=20, max_size=40))
    def lives(steps: list[tuple[object, ...]]) -> None:
        history = History(spec)
        for step, *arguments in steps:
            if step is not setattr or spec is TWO:
                step(history, *arguments)  # type: ignore[operator]
        history.ask(stored=False)

    lives()


def sampled(kind: str, parameters: Sequence[object] = TIED, **sampler: object) -> Spec:
    if kind not in Sampler.READ_BY["startup_trials"]:
        sampler.pop("startupTrials", None)
    chosen = {"type": kind, "seed": 7, **sampler}
    return worlds.experiment(sampler=chosen, parameters=parameters, maxTrials=200).spec


def searched(spec: Spec, count: int, seen_from: int = 0) -> list[Trial]:
    """Search with two trials at a time; from a number on, compare with a sampler built anew.

    A trial is the better, the nearer its learning rate is to 0.1, and some do not get through.
    """
    suggester, trials = Suggester(), [Trial(0, {"n_layers": 2}, baseline="known")]
    for number in range(1, count):
        suggested = suggester.suggest(spec, trials, worlds.size)
        if number >= seen_from:
            assert suggested == anew(spec, trials)
        assert suggested is not None
        trials.append(Trial(number, {**spec.training, **suggested}))
        ended = trials[number - 1 - number % 2]
        if ended.state is State.RUNNING:
            off = abs(math.log(float(ended.parameters.get("learning_rate", 1.0)) / 0.1))
            state = State.FAILED if number % 9 == 0 else State.COMPLETED
            trials[ended.number] = replace(
                outcome(ended, state, 90.0 - 20.0 * off), ended=float(number)
            )
    return trials


def rates(trials: Sequence[Trial]) -> list[float]:
    return [abs(math.log(float(t.parameters["learning_rate"]) / 0.1)) for t in trials]


@pytest.mark.parametrize("kind", ["TPE", "NSGAII", "GP"])
def test_a_stopped_trial_teaches_the_end_that_was_expected_of_it(kind: str) -> None:
    spec = sampled(kind, startupTrials=3)
    trials = searched(spec, 14 if kind == "GP" else 45, seen_from=99)
    foreseen, ended, reached = list(trials), list(trials), list(trials)
    told = [t for t in trials if t.state is State.COMPLETED]
    for t in sorted(told, key=lambda t: t.metrics["exact"])[len(told) // 2 :]:
        stopped = replace(outcome(t, State.STOPPED, t.metrics["exact"]), ended=t.ended)
        foreseen[t.number] = stopped
        ended[t.number] = replace(t, metrics={**t.metrics, **better(stopped)})
        reached[t.number] = replace(stopped, expected={})
    seeds = range(1 if kind == "GP" else 4)  # GP takes its time
    samplers = [spec.sampler.model_copy(update={"seed": seed}) for seed in seeds]
    specs = [spec.model_copy(update={"sampler": sampler}) for sampler in samplers]
    found = [[anew(s, made) for s in specs] for made in (foreseen, ended, reached)]
    assert found[0] == found[1] != found[2]


def test_until_some_have_ended_suggestions_are_spread_evenly() -> None:
    spec = sampled("TPE", startupTrials=6)
    trials = searched(spec, 20, seen_from=99)
    begun = next(n for n in range(20) if sum(t.ended is not None for t in trials[:n]) >= 6)
    even = [
        grid_and_random.even(spec, trials[:n]) == space.reduced(spec, trials[n].parameters)
        for n in range(1, 20)
    ]
    assert begun > 6
    assert all(even[:6])
    assert not any(even[12:])


def test_nsga_breeds_the_same_generations_after_a_restart() -> None:
    trials = searched(sampled("NSGAII"), 100, seen_from=40)
    told = [t for t in trials if t.state is State.COMPLETED]
    bred = optuna_samplers.generations(sampled("NSGAII"), trials)
    assert list(bred) == [t.number for t in sorted(told, key=lambda t: (t.ended or 0, t.number))]
    assert [list(bred.values()).count(n) for n in range(2)] == [20, 20]
    assert mean(rates(trials[80:])) < 0.7 * mean(rates(trials[1:21]))


def test_a_generation_is_twice_the_parallelism_from_20_to_50() -> None:
    sizes = {
        parallelism: optuna_samplers.population(
            worlds.experiment(parallelism=parallelism, maxTrials=99).spec
        )
        for parallelism in (1, 10, 15, 25, 90)
    }
    assert sizes == {1: 20, 10: 20, 15: 30, 25: 50, 90: 50}


def test_gaussian_processes_suggest_the_same_after_a_restart() -> None:
    spec = sampled("GP", startupTrials=6)
    trials = searched(spec, 15, seen_from=13)
    assert mean(rates(trials[10:])) < mean(rates(trials[1:7]))


@pytest.mark.parametrize("kind", ["TPE", "EHVI", "NSGAII", "GP"])
def test_only_active_parameters_are_suggested(kind: str) -> None:
    trials = searched(sampled(kind, startupTrials=6), 14 if kind == "GP" else 40, seen_from=99)[1:]
    deep = [t for t in trials if int(t.parameters["n_layers"]) >= 3]
    assert 0 < len(deep) < len(trials)
    assert [t for t in trials if "dropout" in t.parameters] == deep


@pytest.mark.parametrize("kind", ["TPE", "EHVI", "NSGAII", "GP", "Random", "QMC", "Grid"])
def test_a_stepped_value_is_the_one_that_the_file_names(kind: str) -> None:
    others = STEPPED[:3] if kind == "Grid" else STEPPED
    spec = sampled(kind, others, startupTrials=3)
    suggestions = searched(spec, 16 if kind == "GP" else 60, seen_from=12)[1:]
    points = [space.reduced(spec, trial.parameters) for trial in suggestions]
    levels = {
        p.name: [space.level(p, place) for place in range(int(space.count(p)))]
        for p in spec.parameters
        if p.step is not None
    }
    for trial, point in zip(suggestions, points, strict=True):
        given = {name: trial.parameters[name] for name in point}
        assert given == point  # nothing is left to be put right
        assert all(point[name] in known for name, known in levels.items() if name in point)
        assert ("dropout" in point) == (point["learning_rate"] in (0.3, 0.6, 0.7))
        if kind != "Grid":
            assert ("weight_decay" in point) == (float(point["learning_rate"]) <= 0.3)
    assert {0.3, 0.6, 0.7} & {point["learning_rate"] for point in points}


@pytest.mark.parametrize("kind", ["TPE", "NSGAII", "GP"])
def test_what_was_stored_beside_a_step_is_taken_for_that_step(kind: str) -> None:
    spec = sampled(kind, STEPPED)
    drawn = {"learning_rate": 0.1 + 2 * 0.1, "n_layers": 3, "dropout": 0.05 + 0.15 + 0.15}
    told = {**drawn, "weight_decay": 0.25}
    neat = {**told, "learning_rate": 0.3, "dropout": 0.35}
    assert told != neat
    trials = [outcome(Trial(n, told), State.COMPLETED, 60.0 + n) for n in range(12)]
    again = [replace(trial, parameters=neat) for trial in trials]
    assert anew(spec, trials) == anew(spec, again)


def test_a_baseline_outside_the_space_hides_no_parameter_from_a_model() -> None:
    """It has no learning rate within the bounds, which a model of all would then drop."""
    trials = searched(sampled("NSGAII"), 42, seen_from=99)
    outside = Trial(0, {"n_layers": 12}, State.COMPLETED, "outside", metrics=trials[2].metrics)
    suggested = {
        number: Suggester().suggest(sampled("NSGAII"), [outside, *trials[1:number]], worlds.size)
        for number in (41, 42)
    }
    assert suggested == {n: anew(sampled("NSGAII"), trials[:n]) for n in (41, 42)}


def test_a_sampler_whose_packages_are_missing_is_refused_with_what_would_help() -> None:
    assert optuna_samplers.lacking(sampled("GP")) == []
    program = """
        import sys
        sys.modules["torch"] = None
        from distillery_operator.search import optuna_samplers
        from support import calls, worlds
        def lacking(kind):
            return optuna_samplers.lacking(worlds.experiment(sampler={"type": kind}).spec)
        (fault,) = lacking("GP")
        assert lacking("NSGAII") == []
        print(fault)
    """
    said = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == (
        "spec.sampler.type: must not be GP where torch cannot be imported; the operator's image has"
        " them if it is built with --build-arg GP=true\n"
    )


@pytest.mark.parametrize("kind", ["TPE", "NSGAII", "QMC", "Random"])
def test_with_two_thousand_trials_a_suggestion_and_a_decision_take_little(kind: str) -> None:
    """In seconds it is measured by ``bench/deciding.py``: 400 calls a trial are about 0.3 s."""
    spec = worlds.experiment(
        sampler={"type": kind}, parameters=TIED, maxTrials=3000, maxGpuHours=1e6, stagnation={}
    ).spec
    suggester, trials = Suggester(), list[Trial]()
    for number in range(2000):
        point = grid_and_random.suggest(sampled("Random"), trials)
        trial = outcome(Trial(number, dict(point or {})), State.COMPLETED, 50.0 + number % 40)
        trials.append(replace(trial, ended=float(number), seconds=60.0))

    def go_on() -> None:
        suggested = suggester.suggest(spec, trials, worlds.size)
        trials.append(Trial(len(trials), dict(suggested or {})))
        decide.decide(spec, worlds.observation(tuple(trials)))

    go_on()  # builds the study
    spent = [calls.counted(go_on) for _ in range(3)]
    for counts in spent:
        assert counts["optuna.study.study.create_study"] == 0
        assert counts["optuna.trial._frozen.create_trial"] <= 1  # what was suggested last
    assert min(counts.total() for counts in spent) < 400 * len(trials)  # a generation has its price


def test_a_study_that_cannot_follow_is_built_anew() -> None:
    """So that the counts of the test above are of what they say."""
    spec = sampled("TPE", startupTrials=3)
    trials = searched(spec, 12)
    counts = calls.counted(lambda: anew(spec, trials))
    assert counts["optuna.study.study.create_study"] == 1
    assert counts["optuna.trial._frozen.create_trial"] == len(trials)


def test_of_very_many_trials_the_sampler_gets_some_and_suggests_the_same_after_a_restart() -> None:
    spec = worlds.experiment(sampler=SAMPLER, parameters=STEPPED[:1]).spec
    trials = [
        outcome(Trial(n, {"learning_rate": 0.1 * (1 + n % 7)}), State.COMPLETED, 50.0 + n % 37)
        for n in range(1490)
    ]
    suggester = Suggester()
    for number in range(1490, 1520):
        suggested = suggester.suggest(spec, trials, worlds.size)
        assert suggested is not None
        if number % 6 == 0:
            assert suggested == anew(spec, trials)
        trials.append(outcome(Trial(number, dict(suggested)), State.COMPLETED, 60.0))
    given = optuna_samplers.learnt_from(spec, trials)
    assert len(given) == optuna_samplers.SAMPLED + 1520 - 1250
    assert [*given[-270:]] == trials[-270:]
    assert [*optuna_samplers.learnt_from(spec, trials[:1000])] == trials[:1000]
