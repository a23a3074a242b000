"""Builders for the operator's tests: experiments as documents, trials, observations."""

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from distillery_contract.parameters import Value
from distillery_contract.size import Architecture, Family
from distillery_operator.engine import decide, statistics
from distillery_operator.engine import status as statuses
from distillery_operator.engine.conditions import Finding
from distillery_operator.engine.statistics import Statistics
from distillery_operator.resource import parsing
from distillery_operator.resource.experiment import Experiment
from distillery_operator.resource.spec import Spec
from distillery_operator.resource.status import Status
from distillery_operator.trials.attempt import Attempt, Report
from distillery_operator.trials.observation import Observation, Preparation
from distillery_operator.trials.trial import State, Trial

QUEUED: dict[str, Any] = {"metadata": {"labels": {"kueue.x-k8s.io/queue-name": "gpus"}}}
"""A pod template whose Jobs wait in a queue."""

SOURCES = {"teacher": Architecture(Family.BERT, 1000, 128, 96, 384, 6, 6, 2)}
PREPARATION = Preparation(
    "key", {"exact": 90.0, "HasAns_exact": 88.0, "NoAns_exact": 92.0}, SOURCES, pinned=True
)

DOCUMENT: dict[str, Any] = {
    "apiVersion": "distillery.dev/v1alpha1",
    "kind": "DistillationExperiment",
    "metadata": {"name": "tiny"},
    "spec": {
        "objectives": [
            {"metric": "exact", "direction": "Maximize", "threshold": 50},
            {"metric": "parameter_count", "direction": "Minimize"},
        ],
        "parameters": [
            {"name": "learning_rate", "type": "Float", "low": 0.01, "high": 0.8, "log": True},
            {"name": "n_layers", "type": "Int", "low": 1, "high": 6},
            {
                "name": "layer_selection",
                "type": "Categorical",
                "choices": ["First", "EvenlySpaced"],
            },
        ],
        "training": {"epochs": 1, "temperature": 2.0},
        "data": {
            "train": "train.json",
            "validation": "validation.json",
            "maxLength": 64,
            "stride": 16,
            "maxQueryLength": 16,
        },
        "teacher": {"model": "teacher"},
        "maxTrials": 8,
        "parallelism": 2,
    },
}


SCRATCH = {"parameter": "initialization", "values": ["Scratch"]}
PARAMETERS: list[dict[str, Any]] = [
    {"name": "initialization", "type": "Categorical", "choices": ["Teacher", "Scratch"]},
    {"name": "hidden_size", "type": "Int", "low": 48, "high": 96, "step": 12, "when": SCRATCH},
    {
        "name": "initializer_range",
        "type": "Float",
        "low": 0.01,
        "high": 0.03,
        "step": 0.01,
        "when": {"parameter": "hidden_size", "minimum": 60, "maximum": 72},
    },
]
"""A search space whose second parameter depends on the first, and the third on the second."""


def document(**spec: Any) -> dict[str, Any]:
    """Return a sound document with parts of its spec replaced; None removes a part."""
    made = copy.deepcopy(DOCUMENT)
    made["spec"].update(spec)
    made["spec"] = {k: v for k, v in made["spec"].items() if v is not None}
    return made


def experiment(**spec: Any) -> Experiment:
    return parsing.parse(document(**spec))


def completed(
    number: int,
    exact: float,
    layers: int,
    has: float | None = None,
    no: float | None = None,
    **more: Any,
) -> Trial:
    """Return a trial that was measured to its end."""
    parts = {
        "HasAns_exact": exact if has is None else has,
        "NoAns_exact": exact if no is None else no,
    }
    size = 100_000.0 * layers
    return Trial(
        number,
        {"learning_rate": 0.1, "n_layers": layers, "layer_selection": "First"},
        state=State.COMPLETED,
        reason="Completed",
        parameter_count=int(size),
        metrics={"exact": exact, "parameter_count": size, **parts},
        **{"seconds": 10.0, **more},
    )


def size(values: Mapping[str, Value]) -> int:
    """Return the weights of the student that hyperparameters describe, as ``completed`` has it."""
    return 100_000 * int(values.get("n_layers", 6))


def observation(
    trials: tuple[Trial, ...] = (),
    attempts: tuple[Attempt, ...] = (),
    reports: dict[Attempt, Report] | None = None,
    now: float = 1000.0,
    preparation: Preparation | None = PREPARATION,
) -> Observation:
    keyed = {(a.stage, a.trial, a.number): r for a, r in (reports or {}).items()}
    return Observation(now, 0.0, preparation, trials, attempts, keyed)


def status(
    wanted: Experiment,
    seen: Observation,
    before: Status | None = None,
    findings: Iterable[Finding] = (),
) -> Status:
    """Return the status of what is seen, as a visit derives it."""
    decision = decide.decide(wanted.spec, seen)
    return statuses.derive(wanted, seen, decision, before, findings)


def statistics_of(spec: Spec, seen: Observation) -> Statistics:
    """Return the statistics of what is seen, as a visit derives them."""
    return statistics.derive(spec, seen, decide.decide(spec, seen).done)
