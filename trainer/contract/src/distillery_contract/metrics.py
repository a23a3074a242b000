"""Every metric that a trainer exposes, on ``/metrics`` while it runs and in the final exposition.

Labels that name the pod come from Prometheus and from the operator, never from the trainer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import isfinite
from typing import Final


class Direction(StrEnum):
    """Which way an objective improves."""

    MAXIMIZE = "Maximize"
    MINIMIZE = "Minimize"

    @property
    def sign(self) -> int:
        """The factor that turns a value into a cost: something to be minimised."""
        return -1 if self is Direction.MAXIMIZE else 1


@dataclass(frozen=True)
class Evaluation:
    """A value of ``distillery_trial_metric``, named by its label ``metric``.

    Attributes:
        unit: what one of it is.
        help: one sentence.
        direction: which way it improves; None where it is no objective.
        worst: the value told for a trial that ended before it could be measured.
        least, most: what a value can be; beyond them it is no measurement.
    """

    unit: str
    help: str
    direction: Direction | None
    worst: float
    least: float
    most: float

    def fault(self, value: float) -> str | None:
        """Say why a value cannot have been measured; None if it can."""
        if self.least <= value <= self.most:
            return None
        bounds = f"at least {self.least:.15g} and at most {self.most:.15g} {self.unit}"
        return f"must be {bounds}, but got {value:.15g}"


def _percent(text: str) -> Evaluation:
    return Evaluation("percent", text, Direction.MAXIMIZE, 0.0, 0.0, 100.0)


def _logits(text: str) -> Evaluation:
    return Evaluation("logits", text, None, 0.0, -1e6, 1e6)


EVALUATIONS: Final[Mapping[str, Evaluation]] = {
    "exact": _percent("questions answered exactly; an unanswerable one must get no answer"),
    "f1": _percent("mean overlap of the answers' words, as the official evaluation counts it"),
    "HasAns_exact": _percent("exact over the answerable questions"),
    "HasAns_f1": _percent("f1 over the answerable questions"),
    "NoAns_exact": _percent("exact over the unanswerable questions"),
    "NoAns_f1": _percent("f1 over the unanswerable questions"),
    "best_exact": _percent("exact at the no-answer threshold that is best for the validation set"),
    "best_exact_thresh": _logits("no-answer threshold of best_exact"),
    "best_f1": _percent("f1 at the no-answer threshold that is best for the validation set"),
    "best_f1_thresh": _logits("no-answer threshold of best_f1"),
    "parameter_count": Evaluation(
        "parameters",
        "weights of the student, embeddings included",
        Direction.MINIMIZE,
        1e10,
        1.0,
        1e13,
    ),
    "inference_seconds": Evaluation(
        "seconds",
        "time to answer one validation question at the evaluation batch size",
        Direction.MINIMIZE,
        60.0,
        0.0,
        86400.0,
    ),
}


def faults(values: Mapping[str, float]) -> list[str]:
    """Say of each known evaluation that is a number why it cannot have been measured."""
    found = []
    for name, value in values.items():
        if name in EVALUATIONS and isfinite(value) and (fault := EVALUATIONS[name].fault(value)):
            found.append(f"{name} {fault}")
    return found


def sound(values: Mapping[str, float]) -> dict[str, float]:
    """Return the values that are numbers and can have been measured."""
    return {
        name: value
        for name, value in values.items()
        if isfinite(value) and not (name in EVALUATIONS and EVALUATIONS[name].fault(value))
    }


COLLAPSE: Final = ("HasAns_exact", "NoAns_exact")
"""The pair that shows a collapse: who answers nothing scores 0 on the first, 100 on the second."""


class Loss(StrEnum):
    """The parts of a training's loss: values of the label ``part``."""

    TOTAL = "total"  # what is minimised: the weighted sum of the others
    HARD = "hard"  # against the labels
    SOFT = "soft"  # against the teacher's logits
    RELATION = "relation"  # between the attention relations of student and teacher


@dataclass(frozen=True)
class Family:
    """A metric family of the exposition; ``name`` lacks the suffix of counters and infos."""

    name: str
    kind: str  # gauge, counter or info, as in OpenMetrics
    help: str
    labels: tuple[str, ...] = ()
    final: bool = True  # whether the final exposition carries it


METRIC: Final = Family(
    "distillery_trial_metric",
    "gauge",
    "Latest evaluation of the student on the validation set",
    ("metric",),
)
METRIC_STEP: Final = Family(
    "distillery_trial_metric_step", "gauge", "Optimiser step of the latest evaluation"
)
FINAL: Final = Family(
    "distillery_trial_final",
    "gauge",
    "1 once the training has ended and its last evaluation stands",
)
STEP: Final = Family("distillery_trial_step", "gauge", "Optimiser steps done")
STEPS: Final = Family("distillery_trial_steps", "gauge", "Optimiser steps planned")
PROGRESS: Final = Family(
    "distillery_trial_progress_ratio", "gauge", "Share of the planned steps that is done"
)
LOSS: Final = Family(
    "distillery_trial_loss",
    "gauge",
    f"Mean loss since the last report by part: {', '.join(Loss)}",
    ("part",),
)
LEARNING_RATE: Final = Family(
    "distillery_trial_learning_rate", "gauge", "Learning rate of the last step", final=False
)
SPEED: Final = Family(
    "distillery_trial_examples_per_second",
    "gauge",
    "Examples per second since the last report",
)
EXAMPLES: Final = Family(
    "distillery_trial_examples",
    "counter",
    "Examples learnt from: windows of the training set, counted again in each epoch",
    final=False,
)
TOKENS: Final = Family(
    "distillery_trial_tokens",
    "counter",
    "Tokens of these examples, padding not counted",
    final=False,
)
MEMORY: Final = Family(
    "distillery_trial_memory_bytes", "gauge", "Peak memory by kind: resident, device", ("kind",)
)
CHECKPOINT_STEP: Final = Family(
    "distillery_trial_checkpoint_step", "gauge", "Step of the newest checkpoint", final=False
)
TRAINING_SECONDS: Final = Family(
    "distillery_trial_training_seconds",
    "gauge",
    "Wall time of all attempts so far, evaluations included",
)
OUTCOME: Final = Family(
    "distillery_trial_outcome",
    "info",
    "How the process ended: a reason and a sentence",
    ("reason", "message"),
)
TEACHER_METRIC: Final = Family(
    "distillery_teacher_metric",
    "gauge",
    "Evaluation of the teacher on the validation set",
    ("metric",),
)
TEST_METRIC: Final = Family(
    "distillery_trial_test_metric",
    "gauge",
    "Evaluation of the trained student on the test set, made once; no decision reads it",
    ("metric",),
)
TEACHER_TEST_METRIC: Final = Family(
    "distillery_teacher_test_metric",
    "gauge",
    "Evaluation of the teacher on the test set, made once",
    ("metric",),
)
DATA_QUESTIONS: Final = Family(
    "distillery_data_questions", "gauge", "Questions by split and kind", ("split", "answerable")
)
DATA_FEATURES: Final = Family(
    "distillery_data_features", "gauge", "Windows of tokens by split", ("split",)
)
DATA_FINDINGS: Final = Family(
    "distillery_data_findings",
    "gauge",
    "What a person should know of the data, counted by split and kind, such as dropped questions",
    ("split", "kind"),
    final=False,  # the sentence of the outcome has them
)
PREPARED: Final = Family(
    "distillery_prepared", "info", "Key of the prepared windows and teacher logits", ("key",)
)
ARCHITECTURE: Final = Family(
    "distillery_architecture",
    "gauge",
    "Dimensions that a student can have, by source model",
    ("source", "dimension"),
)

TRAINER: Final = Family(
    "distillery_trainer",
    "info",
    "Releases of the trainer and of its libraries, and the device that it trains on",
    ("version", "torch", "transformers", "device"),
)

FAMILIES: Final = (
    METRIC, METRIC_STEP, FINAL, STEP, STEPS, PROGRESS, LOSS, LEARNING_RATE, SPEED, EXAMPLES,
    TOKENS, MEMORY, CHECKPOINT_STEP, TRAINING_SECONDS, OUTCOME, TEACHER_METRIC, TEST_METRIC,
    TEACHER_TEST_METRIC, DATA_QUESTIONS, DATA_FEATURES, DATA_FINDINGS, PREPARED, ARCHITECTURE,
    TRAINER,
)  # fmt: skip
