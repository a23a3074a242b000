"""What a user may write into ``spec``.

One set of models serves the cluster's CRD and the same file on one machine. Field names in YAML are
camelCase. Rules that bind one field stand on the field; rules between fields stand in
:mod:`distillery_operator.resource.rules`.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field, JsonValue, StrictBool

from distillery_contract import metrics
from distillery_contract.metrics import Direction
from distillery_operator.resource.early_stopping import EarlyStopping, StoppingType
from distillery_operator.resource.fields import (
    Hyperparameters,
    Integer,
    Metric,
    Metrics,
    Model,
    Name,
    Number,
    ObjectiveMetric,
    Positive,
    SourceName,
    Text,
)
from distillery_operator.resource.parameter import Parameter
from distillery_operator.resource.sampler import Sampler, SamplerType


class Objective(Model):
    """One axis of the Pareto front."""

    metric: ObjectiveMetric = Field(
        description="An evaluation metric; teacher.floor tells what each is."
    )
    direction: Direction = Field(description="Which way the metric improves.")
    threshold: Number | None = Field(
        None,
        description="Least acceptable value, or greatest if minimised, of a trial on the front,"
        " in the metric's unit. Editable.",
    )


class Constraint(Model):
    """A bound on a metric that is not optimised."""

    metric: Metric = Field(description="An evaluation metric; teacher.floor tells what each is.")
    minimum: Number | None = Field(
        None, description="The metric must be at least this, in its unit."
    )
    maximum: Number | None = Field(
        None, description="The metric must be at most this, in its unit."
    )


class Baseline(Model):
    """A trial with known hyperparameters. Baselines run first and are drawn in every picture."""

    name: Name = Field(description="Its name in status and report.")
    parameters: Hyperparameters = Field(
        default_factory=dict,
        description="Hyperparameters; what is missing is as in training, then at its default.",
    )


class WarmStart(Model):
    """Another experiment, whose trials inform the sampler."""

    experiment: SourceName = Field(
        description="Its name: in the namespace, or among the experiments of the workspace."
    )
    other_data: StrictBool = Field(
        False,
        description="Take trials that were measured on other data, by another teacher or, with"
        " initialization: Pretrained, from another student.model.",
    )


class Data(Model):
    """Questions in SQuAD 2.0's format. Paths are relative to the workspace, lengths in tokens."""

    name: Text | None = Field(
        None,
        description="A data set of the hub with splits train and validation, such as squad_v2."
        " Or give train and validation.",
    )
    train: Text | None = Field(
        None, description="JSON file to train on, in the official format. With validation."
    )
    validation: Text | None = Field(
        None, description="JSON file to measure on, in the official format. With train."
    )
    unanswerable: StrictBool = Field(
        True, description="Whether some questions have no answer, as in SQuAD 2.0."
    )
    max_length: Integer = Field(
        384, ge=16, le=8192, description="Tokens in a window of question and context."
    )
    stride: Integer = Field(
        128, ge=0, le=8192, description="Tokens that neighbouring windows share."
    )
    max_query_length: Integer = Field(
        64, ge=1, le=8192, description="Tokens of a question that are read."
    )
    max_answer_length: Integer = Field(
        30, ge=1, le=8192, description="Tokens of the longest answer."
    )
    n_best: Integer = Field(
        20, ge=1, le=1000, description="Start and end candidates that are combined."
    )
    null_threshold: Number = Field(
        0.0,
        description="Margin, in logits, by which no answer must win against the best answer.",
    )


class Teacher(Model):
    """The fine-tuned model that students learn from."""

    model: Text = Field(description="A model folder in the workspace, or a name on the hub.")
    revision: Text | None = Field(None, description="Revision on the hub.")
    floor: Metrics = Field(
        default_factory=dict,
        description="Least metrics of the teacher on the validation set, or nothing starts.",
    )


class Student(Model):
    """Where students come from that are not cut from the teacher."""

    model: Text | None = Field(
        None, description="A pretrained model folder or hub name, for initialization: Pretrained."
    )
    revision: Text | None = Field(None, description="Revision on the hub.")


READ_BY: Final[Mapping[type[Sampler | EarlyStopping], Mapping[str, Sequence[StrEnum]]]] = {
    Sampler: {
        "startup_trials": (SamplerType.TPE, SamplerType.GP),
        "crossover": (SamplerType.TPE,),
    },
    EarlyStopping: {
        "confidence": (StoppingType.FRONT_AWARE,),
        "min_trials": (StoppingType.FRONT_AWARE,),
        "reduction_factor": (StoppingType.ASHA,),
        "pause": (StoppingType.ASHA,),
    },
}
"""Fields that some types alone consume."""


class CheckpointRetention(StrEnum):
    """Which trials keep their model once they have ended."""

    FRONT = "Front"
    ALL = "All"


class Stagnation(Model):
    """When a search that finds nothing better is over."""

    trials: Integer | None = Field(
        None,
        ge=1,
        le=100_000,
        description="Ended trials, the last ones, that must bring something. Unless given, a tenth"
        " of all that have ended, and at least 20.",
    )
    gain_percent: Annotated[Number, Field(gt=0, le=100)] = Field(
        0.5,
        description="What they must bring: by how much the front's hypervolume must grow, in"
        " percent.",
    )


class MetricsDurability(StrEnum):
    """What keeps the pod of a trial whose metrics are not stored yet."""

    BEST_EFFORT = "BestEffort"
    STRICT = "Strict"


class Spec(Model):
    """What is wanted."""

    objectives: list[Objective] = Field(
        min_length=1,
        max_length=8,
        description="What to trade off. Immutable, but for the thresholds.",
    )
    constraints: list[Constraint] = Field(
        default_factory=list,
        max_length=32,
        description="Bounds on metrics. Unless given, HasAns_exact and NoAns_exact must reach 10"
        " percent where some questions have no answer, which keeps collapsed models off the front.",
    )
    parameters: list[Parameter] = Field(
        min_length=1, max_length=64, description="The search space. Immutable."
    )
    training: Hyperparameters = Field(
        default_factory=dict,
        description="Hyperparameters that are fixed for all trials, except where a baseline has"
        " its own.",
    )
    baselines: list[Baseline] = Field(
        default_factory=list, max_length=32, description="Known trials, run first."
    )
    sampler: Sampler = Field(default_factory=Sampler, description="The search strategy.")
    early_stopping: EarlyStopping = Field(
        default_factory=EarlyStopping, description="When trainings end early."
    )
    warm_start_from: list[WarmStart] = Field(
        default_factory=list,
        max_length=16,
        description="Experiments whose trials inform the sampler, those that could have been"
        " suggested here. They are taken once, and never stand on this front.",
    )
    data: Data = Field(description="The questions.")
    teacher: Teacher = Field(description="Who teaches.")
    student: Student = Field(default_factory=Student, description="Who learns.")
    max_trials: Integer = Field(
        50,
        ge=1,
        le=100_000,
        description="Trials in all, baselines included. Duplicates of earlier trials do not count.",
    )
    parallelism: Integer = Field(
        1, ge=1, le=10_000, description="Trials that run at the same time."
    )
    max_failed_trials: Integer = Field(
        5,
        ge=0,
        le=100_000,
        description="Failed trials (not infeasible ones) beyond which the experiment ends.",
    )
    max_interruptions: Integer = Field(
        20, ge=0, le=10_000, description="Interruptions of one trial that are resumed."
    )
    max_crashes: Integer = Field(
        1, ge=0, le=100, description="Crashes of one trial after which it is tried again."
    )
    max_duration_seconds: Integer | None = Field(
        None,
        ge=1,
        le=10**9,
        description="Seconds since the experiment began after which no trial starts.",
    )
    max_gpu_hours: Positive | None = Field(
        None,
        description="GPU-hours of all trials and the preparation beyond which no trial starts."
        " Where trials have no GPU, hours of run time count instead.",
    )
    cost_per_gpu_hour: Positive | None = Field(
        None, description="Price of a GPU-hour, as maxGpuHours counts them, in any currency."
    )
    max_cost: Positive | None = Field(
        None,
        description="Cost beyond which no trial starts, in the currency of costPerGpuHour.",
    )
    stagnation: Stagnation | None = Field(
        None,
        description="End a search that finds nothing better. Unless given, it goes on to its other"
        " budgets; with {} it ends by the defaults.",
    )
    trial_timeout_seconds: Integer | None = Field(
        None,
        ge=1,
        le=10**9,
        description="Seconds of run time of a trial, all attempts together, beyond which it is"
        " infeasible.",
    )
    checkpoint_retention: CheckpointRetention = Field(
        CheckpointRetention.FRONT,
        description="Front: trials off the front lose their model. All: every trial keeps it.",
    )
    metrics_durability: MetricsDurability = Field(
        MetricsDurability.BEST_EFFORT,
        description="BestEffort: a pod that is deleted before the operator has read it may take its"
        " metrics along. Strict: a finalizer holds each trial's pod until its metrics are stored,"
        " so drains and deletions of namespaces wait for the operator. Used on a cluster only.",
    )
    suspend: StrictBool = Field(
        False, description="Start nothing, and end running trials at their next checkpoint."
    )
    template: dict[str, JsonValue] = Field(
        default_factory=dict,
        description="PodTemplateSpec of the trials, whose container is called trainer: resources,"
        " volumes, nodeSelector and so on. Used on a cluster only.",
    )


COLLAPSE_GUARD: Final = 10.0
"""Least HasAns_exact and NoAns_exact, in percent, unless the experiment says otherwise. A collapsed
model scores about 0 on one of them; 10 lies clearly above that and far below every useful model."""

GUARDS: Final = tuple(Constraint(metric=m, minimum=COLLAPSE_GUARD) for m in metrics.COLLAPSE)


def effective_constraints(spec: Spec) -> list[Constraint]:
    """Return the constraints in force: the experiment's own and, if need be, the collapse guard."""
    given = {constraint.metric for constraint in spec.constraints}
    guards = [guard for guard in GUARDS if guard.metric not in given]
    return [*spec.constraints, *(guards if spec.data.unanswerable else [])]
