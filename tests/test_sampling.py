"""The sampler's memory: it suggests what one built anew would, whatever happened before."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import worlds
from distillery_operator.resources import Spec
from distillery_operator.sampling import Suggester
from distillery_operator.trials import Point, State, Trial

OBJECTIVES = worlds.DOCUMENT["spec"]["objectives"]
SAMPLER = {"startupTrials": 3, "seed": 7}
TWO = worlds.experiment(sampler=SAMPLER).spec
STRICTER = worlds.experiment(
    sampler=SAMPLER, objectives=[{**OBJECTIVES[0], "threshold": 70}, OBJECTIVES[1]]
).spec
ONE = worlds.experiment(sampler=SAMPLER, objectives=OBJECTIVES[:1]).spec


def outcome(trial: Trial, state: State, exact: float) -> Trial:
    metrics = {"exact": exact, "HasAns_exact": exact, "NoAns_exact": 80.0, "parameter_count": 1e6}
    measured = metrics if state is State.COMPLETED else {}
    return replace(trial, state=state, metrics=measured, curve=(Point(1, metrics),))


def anew(spec: Spec, trials: Sequence[Trial]) -> object:
    return Suggester().suggest(spec, trials)


class History:
    """A study's life, with what a sampler that remembers and one built anew suggest at each ask."""

    def __init__(self, spec: Spec) -> None:
        self.spec, self.trials, self.suggester = spec, list[Trial](), Suggester()

    def ask(self, stored: bool) -> None:
        suggested = self.suggester.suggest(self.spec, self.trials)
        assert suggested == anew(self.spec, self.trials)
        if stored:
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
    st.sampled_from([State.COMPLETED, State.COMPLETED, State.INFEASIBLE, State.FAILED]),
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


@pytest.mark.parametrize("spec", [TWO, ONE])
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
