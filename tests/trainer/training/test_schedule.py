"""Steps, learning rates, evaluations and the place in the data."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillery_contract import request as requests
from distillery_trainer import hyperparameters
from distillery_trainer.data import batches
from distillery_trainer.training import schedule

DEFAULTS = hyperparameters.resolve(
    requests.Request(
        "test",
        requests.Stage.TRAIN,
        requests.Data(name="squad_v2"),
        requests.Teacher("teacher"),
        requests.Student(),
        cache="-",
        output="-",
    )
)
LENGTHS = np.random.default_rng(0).integers(5, 60, 53)


@given(
    epochs=st.floats(0.001, 3),
    size=st.integers(1, 60),
    accumulation=st.integers(1, 5),
    evaluations=st.integers(1, 30),
)
def test_every_window_comes_once_an_epoch_whatever_the_batches(
    epochs: float, size: int, accumulation: int, evaluations: int
) -> None:
    asked = replace(
        DEFAULTS,
        epochs=epochs,
        per_device_train_batch_size=size,
        gradient_accumulation_steps=accumulation,
        evaluations=evaluations,
    )
    plan = schedule.plan(LENGTHS, asked)
    walked = [rows for step in range(plan.steps) for rows in plan.group(step)]
    expected = [rows for epoch in range(4) for rows in batches.order(LENGTHS, size, 42, epoch)]
    assert walked == expected[: len(walked)]
    per_epoch = -(-len(LENGTHS) // size)
    assert len(walked) == max(1, round(epochs * per_epoch))
    assert all(plan.group(step) for step in range(plan.steps))
    assert plan.evaluations[-1] == plan.steps
    assert list(plan.evaluations) == sorted(set(plan.evaluations))
    assert len(plan.evaluations) == min(evaluations, plan.steps)


def test_a_training_is_measured_at_its_rungs_too() -> None:
    asked = replace(DEFAULTS, evaluations=2, per_device_train_batch_size=1, epochs=1.0)
    plain, judged = (schedule.plan(LENGTHS, asked, rungs) for rungs in ((), (0.11, 0.33, 0.5)))
    assert plain.evaluations == (26, 53)
    assert judged.evaluations == (6, 17, 26, 53)
    assert replace(judged, evaluations=(), _epoch=plain._epoch) == replace(plain, evaluations=())


def test_the_rate_rises_to_its_peak_and_falls_linearly() -> None:
    asked = replace(
        DEFAULTS,
        warm_up_steps=3,
        learning_rate=1.0,
        per_device_train_batch_size=53,
        epochs=8.0,
    )
    plan = schedule.plan(LENGTHS, asked)
    rates = [plan.learning_rate(step) for step in range(plan.steps)]
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1.0, 0.8, 0.6, 0.4, 0.2])


def test_without_warm_up_the_first_step_has_the_peak_rate() -> None:
    plan = schedule.plan(LENGTHS, DEFAULTS)
    assert plan.learning_rate(0) == DEFAULTS.learning_rate
    assert 0 < plan.learning_rate(plan.steps - 1) < 0.1 * DEFAULTS.learning_rate


def test_a_warm_up_longer_than_the_training_never_reaches_the_peak() -> None:
    plan = schedule.plan(LENGTHS, replace(DEFAULTS, warm_up_steps=10_000, learning_rate=1.0))
    assert 0 < plan.learning_rate(0) < plan.learning_rate(plan.steps - 1) < 0.01
