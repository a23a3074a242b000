"""What the caps of a namespace leave to one of its experiments, and what it then does."""

from dataclasses import replace
from typing import Any

import pytest

from distillery_contract.request import Stage
from distillery_operator.cluster.cache import Cache
from distillery_operator.cluster.kinds import Key, Kind
from distillery_operator.controller import caps
from distillery_operator.engine import decide
from distillery_operator.engine.actions import Ask, Launch
from distillery_operator.trials.attempt import Attempt, Phase
from distillery_operator.trials.caps import NONE, Cap, Caps
from distillery_operator.trials.observation import Observation
from distillery_operator.trials.trial import Trial
from support import shapes, worlds

ALL = Caps(Cap(10), Cap(50), Cap(100))
WANTED = worlds.experiment(maxTrials=10_000, parallelism=10_000)


def experiment(namespace: str, name: str, **status: Any) -> dict[str, Any]:
    own = {"namespace": namespace, "name": name, "uid": name, "generation": 1}
    return {"metadata": own, "spec": {}, "status": status}


def test_other_experiments_of_the_namespace_count_and_no_others() -> None:
    cache = Cache()
    for document in (
        experiment("science", "mine", trials={"total": 30}, gpuHours=30.0),
        experiment("science", "tiny", trials={"total": 7}, gpuHours=2.5),
        experiment("science", "new"),
        experiment("elsewhere", "tiny", trials={"total": 40}, gpuHours=90.0),
    ):
        cache.put(Kind.EXPERIMENT, document)
    cache.put(Kind.JOB, shapes.job())
    over = shapes.job(shapes.complete(), launch=Launch(Stage.TRAIN, 1, 1))
    cache.put(Kind.JOB, over)
    found = caps.of(Key("science", "mine"), ALL, cache)
    assert [cap.left for cap in (found.parallelism, found.trials, found.gpu_hours)] == [9, 43, 97.5]
    assert caps.of(Key("science", "mine"), NONE, cache) is NONE


def seen(allowed: Caps, trials: int = 0, live: int = 0, hours: float = 0.0) -> Observation:
    """Return an experiment with trials, of which some train since some hours, with a GPU each."""
    started = 1000.0 - hours * 3600
    attempts = tuple(
        Attempt(Stage.TRAIN, n, 1, Phase.RUNNING, started=started, gpus=1.0) for n in range(live)
    )
    known = worlds.observation(
        tuple(Trial(n, {"learning_rate": 0.01 * (n + 1)}) for n in range(trials)), attempts
    )
    return replace(known, caps=allowed, gpus=1.0)


def actions(observation: Observation) -> list[object]:
    made = decide.decide(WANTED.spec, observation).actions
    return [action for action in made if isinstance(action, Ask | Launch)]


@pytest.mark.parametrize(
    ("observation", "expected"),
    [
        (seen(Caps(parallelism=Cap(10, others=9))), [Ask(1)]),
        (seen(Caps(parallelism=Cap(10, others=14))), []),
        (seen(Caps(parallelism=Cap(2)), trials=4, live=2), []),
        (seen(Caps(parallelism=Cap(3)), trials=4, live=2), [Launch(Stage.TRAIN, 2, 1)]),
        (seen(Caps(trials=Cap(50, others=49))), [Ask(1)]),
        (seen(Caps(trials=Cap(50, others=48)), trials=2, live=2), []),
        (seen(Caps(gpu_hours=Cap(10, others=7)), trials=2, live=2, hours=2), []),
    ],
)
def test_a_slip_of_the_pen_starts_no_more_than_the_caps_leave(
    observation: Observation, expected: list[object]
) -> None:
    assert actions(observation) == expected
    found = worlds.status(WANTED, observation)
    said = {str(c.type): c for c in found.conditions}
    assert (said["HeldBack"].status, said["HeldBack"].reason) == ("True", "Capped")
    assert said["Progressing"].status == "True"  # it is not over, and goes on with a greater cap
    assert found.completion_time is None


def test_what_is_held_back_is_said_with_the_caps_value() -> None:
    allowed = Caps(Cap(10, others=4), Cap(50), Cap(5, others=1))
    found = worlds.status(WANTED, seen(allowed, trials=2, live=2, hours=2.25))
    (said,) = [c.message for c in found.conditions if c.type == "HeldBack"]
    assert said == (
        "parallelism is 10000, but 6 are left: the platform allows 10 for all experiments of the"
        " namespace, of which the others use 4; maxTrials is 10000, but 50 are left: the platform"
        " allows 50 for all experiments of the namespace, of which the others use 0; 4.5 GPU-hours"
        " are used, but the platform allows 5 for all experiments of the namespace, of which the"
        " others use 1, so nothing starts"
    )


def test_within_the_caps_nothing_is_said() -> None:
    within = worlds.experiment(maxTrials=8, parallelism=2)
    found = worlds.status(within, seen(ALL, trials=2, live=2, hours=1))
    assert "HeldBack" not in {c.type for c in found.conditions}
    no_gpus = replace(seen(Caps(gpu_hours=Cap(1)), trials=2, live=2, hours=5), gpus=0.0)
    assert [a for a in actions(no_gpus) if isinstance(a, Ask)]
