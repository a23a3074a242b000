from collections.abc import Iterator
from typing import Any

import pytest

from distillery_contract.request import Stage
from distillery_contract.wire import Exit
from distillery_operator.cluster.kinds import Key
from distillery_operator.engine.actions import Launch
from distillery_operator.engine.decide import Decision
from distillery_operator.engine.reconcile import Pass
from distillery_operator.telemetry import operator_metrics, pass_metrics
from distillery_operator.trials.attempt import Attempt, Phase
from support import worlds

KEY = Key("science", "counted")


@pytest.fixture(autouse=True)
def _nothing_counted_before() -> Iterator[None]:
    yield
    labels = {"namespace": KEY.namespace, "experiment": KEY.name}
    operator_metrics.ATTEMPTS_INTERRUPTED.remove_by_labels(labels)
    operator_metrics.ATTEMPTS_STARTED.remove_by_labels(labels)


def interruptions(*before: Attempt, stage: Stage = Stage.TRAIN) -> float | None:
    """Return what is counted once a further attempt has been started."""
    launch = Launch(stage, 3, len(before) + 1)
    seen = worlds.observation(attempts=before)
    pass_metrics.count(KEY, Pass(seen, Decision([launch], None, None)))
    labels = {"namespace": KEY.namespace, "experiment": KEY.name}
    return operator_metrics.REGISTRY.get_sample_value(
        "distillery_attempts_interrupted_total", labels
    )


def ended(**how: Any) -> Attempt:
    return Attempt(Stage.TRAIN, 3, 1, **{"phase": Phase.ENDED, "started": 5.0, **how})


@pytest.mark.parametrize(
    ("before", "counted"),
    [
        ((), 0.0),  # from the first attempt on, for an alert looks for an increase
        ((ended(disrupted=True),), 1.0),
        ((ended(exit_code=int(Exit.INTERRUPTED)),), 1.0),
        ((ended(),), 1.0),  # nobody saw it end
        ((ended(exit_code=int(Exit.INTERRUPTED), halted=True),), 0.0),  # it was asked to
        ((ended(disrupted=True, started=None),), 0.0),  # it only waited, and lost nothing
        ((ended(exit_code=1),), 0.0),  # it crashed
    ],
)
def test_an_interruption_counts_when_the_trial_resumes(
    before: tuple[Attempt, ...], counted: float
) -> None:
    assert interruptions(*before) == counted


def test_only_trainings_are_counted() -> None:
    assert interruptions(stage=Stage.PREPARE) is None
