"""The DistillationExperiment resource: what a user may write, and what Distillery writes back.

One set of models serves the cluster's CRD and the same file on one machine. Field names in YAML are
camelCase. Rules that bind one field stand on the field; rules between fields stand in
:mod:`distillery_operator.rules`.
"""

from enum import StrEnum
from math import isfinite
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, StrictBool, StrictInt
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from distillery_contract import metrics
from distillery_contract.metrics import Direction
from distillery_contract.parameters import Kind

FRONT_LIMIT: Final = 200
"""Points of the front that a status lists; etcd refuses objects above about 1.5 MB."""
RECENT_LIMIT: Final = 20
"""Trials that a status lists as recent."""


def _number(value: object) -> object:
    """One sentence for what pydantic would say once per member of a union."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise PydanticCustomError("number", "must be a finite number")
    return value


def _scalar(value: object) -> object:
    if isinstance(value, str) and len(value) <= 256:
        return value
    if isinstance(value, int | float) and isfinite(value):
        return value
    raise PydanticCustomError(
        "scalar", "must be a number, true, false or a text of at most 256 characters"
    )


Number = Annotated[int | float, BeforeValidator(_number)]
Value = Annotated[bool | int | float | str, BeforeValidator(_scalar)]
Name = Annotated[
    str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
]
Text = Annotated[str, Field(min_length=1, max_length=1024)]


class Model(BaseModel):
    """Base: camelCase in YAML, unknown fields refused, values frozen."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
    )


class Objective(Model):
    """One axis of the Pareto front."""

    metric: Text = Field(description="An evaluation metric, such as exact or parameter_count.")
    direction: Direction = Field(description="Maximize or Minimize.")
    threshold: Number | None = Field(
        None,
        description="Least acceptable value, or greatest if minimised, of a trial on the front.",
    )


class Constraint(Model):
    """A bound on a metric that is not optimised."""

    metric: Text = Field(description="Any evaluation metric.")
    minimum: Number | None = Field(None, description="The metric must be at least this.")
    maximum: Number | None = Field(None, description="The metric must be at most this.")


class Parameter(Model):
    """One dimension of the search space."""

    name: Text = Field(description="A hyperparameter of the trainer.")
    type: Kind = Field(description="Float, Int or Categorical.")
    low: Number | None = Field(None, description="Lower bound, inclusive. Float and Int.")
    high: Number | None = Field(None, description="Upper bound, inclusive. Float and Int.")
    log: StrictBool = Field(False, description="Search on a logarithmic scale. Float and Int.")
    step: Number | None = Field(
        None, description="Distance between neighbouring values. Float and Int."
    )
    choices: list[Value] | None = Field(
        None, max_length=100, description="The values. Categorical."
    )


class Baseline(Model):
    """A trial with known hyperparameters. Baselines run first and are drawn in every picture."""

    name: Name = Field(description="Its name in status and report.")
    parameters: dict[str, Value] = Field(
        default_factory=dict,
        description="Hyperparameters; what is missing is as in training, then at its default.",
    )


class SamplerType(StrEnum):
    """How suggestions are made."""

    TPE = "TPE"
    RANDOM = "Random"


class Sampler(Model):
    """The search strategy."""

    type: SamplerType = Field(
        SamplerType.TPE, description="TPE (with constraints and constant liar) or Random."
    )
    seed: StrictInt = Field(42, ge=0, le=2**31 - 1, description="Seed of all suggestions.")
    startup_trials: StrictInt = Field(
        10, ge=1, le=1000, description="Random trials before TPE models the results."
    )


class Data(Model):
    """Questions in SQuAD 2.0's format. Paths are relative to the workspace, lengths in tokens."""

    name: Text | None = Field(
        None,
        description="A data set of the hub with splits train and validation, such as squad_v2.",
    )
    train: Text | None = Field(None, description="JSON file in the official format.")
    validation: Text | None = Field(None, description="JSON file in the official format.")
    unanswerable: StrictBool = Field(
        True, description="Whether some questions have no answer, as in SQuAD 2.0."
    )
    max_length: StrictInt = Field(384, ge=16, le=8192, description="Tokens in a window.")
    stride: StrictInt = Field(
        128, ge=0, le=8192, description="Tokens that neighbouring windows share."
    )
    max_query_length: StrictInt = Field(
        64, ge=1, le=8192, description="Tokens of a question that are read."
    )
    max_answer_length: StrictInt = Field(
        30, ge=1, le=8192, description="Tokens of the longest answer."
    )
    n_best: StrictInt = Field(
        20, ge=1, le=1000, description="Start and end candidates that are combined."
    )
    null_threshold: Number = Field(
        0.0, description="Margin by which no answer must win against the best answer."
    )


class Teacher(Model):
    """The fine-tuned model that students learn from."""

    model: Text = Field(description="A model folder in the workspace, or a name on the hub.")
    revision: Text | None = Field(None, description="Revision on the hub.")
    floor: dict[str, Number] = Field(
        default_factory=dict,
        description="Least metrics of the teacher on the validation set, or nothing starts.",
    )


class Student(Model):
    """Where students come from that are not cut from the teacher."""

    model: Text | None = Field(
        None, description="A pretrained model folder or hub name, for initialization: Pretrained."
    )
    revision: Text | None = Field(None, description="Revision on the hub.")


class CheckpointRetention(StrEnum):
    """Which trials keep their model once they have ended."""

    FRONT = "Front"
    ALL = "All"


class Spec(Model):
    """What is wanted."""

    objectives: list[Objective] = Field(
        min_length=1, max_length=8, description="What to trade off. Immutable."
    )
    constraints: list[Constraint] = Field(
        default_factory=list,
        max_length=32,
        description="Bounds on metrics. Unless given, HasAns_exact and NoAns_exact must reach 10"
        " where some questions have no answer, which keeps collapsed models off the front.",
    )
    parameters: list[Parameter] = Field(
        min_length=1, max_length=64, description="The search space. Immutable."
    )
    training: dict[str, Value] = Field(
        default_factory=dict, description="Hyperparameters that are fixed for all trials."
    )
    baselines: list[Baseline] = Field(
        default_factory=list, max_length=32, description="Known trials, run first."
    )
    sampler: Sampler = Field(default_factory=Sampler, description="The search strategy.")
    data: Data = Field(description="The questions.")
    teacher: Teacher = Field(description="Who teaches.")
    student: Student = Field(default_factory=Student, description="Who learns.")
    max_trials: StrictInt = Field(
        50, ge=1, le=100_000, description="Trials in all, baselines included."
    )
    parallelism: StrictInt = Field(
        1, ge=1, le=10_000, description="Trials that run at the same time."
    )
    max_failed_trials: StrictInt = Field(
        5,
        ge=0,
        le=100_000,
        description="Failed trials (not infeasible ones) beyond which the experiment ends.",
    )
    max_interruptions: StrictInt = Field(
        20, ge=0, le=10_000, description="Interruptions of one trial that are resumed."
    )
    max_crashes: StrictInt = Field(
        1, ge=0, le=100, description="Crashes of one trial after which it is tried again."
    )
    max_duration_seconds: StrictInt | None = Field(
        None, ge=1, description="Wall time since the experiment began after which no trial starts."
    )
    trial_timeout_seconds: StrictInt | None = Field(
        None,
        ge=1,
        description="Run time of a trial, all attempts together, beyond which it is infeasible.",
    )
    checkpoint_retention: CheckpointRetention = Field(
        CheckpointRetention.FRONT,
        description="Front: trials off the front lose their model. All: every trial keeps it.",
    )
    suspend: StrictBool = Field(
        False, description="Start nothing, and end running trials at their next checkpoint."
    )
    template: dict[str, JsonValue] = Field(
        default_factory=dict, description="PodTemplateSpec of the trials; used on a cluster only."
    )


class Metadata(BaseModel):
    """The part of ObjectMeta that Distillery reads; the rest is the API server's."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: Annotated[
        str, Field(min_length=1, max_length=40, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    ]
    namespace: str = "default"
    generation: int = 1


class Experiment(Model):
    """A DistillationExperiment as applied to a cluster."""

    api_version: Literal["distillery.dev/v1alpha1"] = Field(description="distillery.dev/v1alpha1")
    kind: Literal["DistillationExperiment"] = Field(description="DistillationExperiment")
    metadata: Metadata
    spec: Spec
    status: dict[str, Any] | None = Field(
        None, description="Written by Distillery; ignored in a file."
    )


COLLAPSE_GUARD: Final = 10.0
"""Least HasAns_exact and NoAns_exact, in percent, unless the experiment says otherwise. A collapsed
model scores about 0 on one of them; 10 lies clearly above that and far below every useful model."""


def constraints(spec: Spec) -> list[Constraint]:
    """Return the constraints in force: the experiment's own and, if need be, the collapse guard."""
    given = {constraint.metric for constraint in spec.constraints}
    guards = [
        Constraint(metric=m, minimum=COLLAPSE_GUARD) for m in metrics.COLLAPSE if m not in given
    ]
    return [*spec.constraints, *(guards if spec.data.unanswerable else [])]


class ConditionType(StrEnum):
    """What a status says of an experiment."""

    PREPARED = "Prepared"  # data and teacher are read, checked and cached
    PROGRESSING = "Progressing"  # trials run or will
    SUCCEEDED = "Succeeded"  # ended with at least one point on the front; False once it cannot
    DEGRADED = "Degraded"  # trials fail, or none is feasible: a person should look


class Condition(Model):
    """A metav1.Condition."""

    type: ConditionType
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str
    last_transition_time: str
    observed_generation: int


class TrialCounts(Model):
    """Trials by state; ``total`` is their sum."""

    total: int = 0
    running: int = 0
    completed: int = 0
    infeasible: int = 0
    failed: int = 0


class FrontPoint(Model):
    """A trial on the constrained Pareto front."""

    trial: int
    baseline: str | None = None
    values: dict[str, int | float] = Field(description="Objectives.")
    metrics: dict[str, int | float] = Field(description="All evaluation metrics.")
    parameters: dict[str, Value]
    model: str | None = Field(
        None, description="Folder of the trained student, relative to the workspace."
    )


class Best(Model):
    """The feasible trial that is best at one objective."""

    objective: str
    trial: int
    value: int | float


class BaselineValues(Model):
    """How a baseline did."""

    name: str
    trial: int
    state: str
    values: dict[str, int | float] = Field(default_factory=dict)


class RecentTrial(Model):
    """A trial that runs or ended lately, and why."""

    trial: int
    state: str
    reason: str
    message: str
    values: dict[str, int | float] = Field(default_factory=dict)
    progress: float | None = None


class Status(Model):
    """What Distillery found, bounded in size whatever the number of trials."""

    observed_generation: int
    conditions: list[Condition]
    start_time: str | None = None
    completion_time: str | None = None
    trials: TrialCounts = TrialCounts()
    active: int = 0
    teacher: dict[str, int | float] = Field(default_factory=dict)
    front: list[FrontPoint] = Field(default_factory=list)
    front_size: int = 0
    front_truncated: bool = False
    best: list[Best] = Field(default_factory=list)
    knee: int | None = Field(None, description="Trial at the bend of the front.")
    hypervolume: float | None = None
    baselines: list[BaselineValues] = Field(default_factory=list)
    recent_trials: list[RecentTrial] = Field(default_factory=list)
    compute_seconds: float = Field(0.0, description="Run time of all attempts of all trials.")
