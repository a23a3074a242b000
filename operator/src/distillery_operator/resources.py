"""The DistillationExperiment resource: what a user may write, and what Distillery writes back.

One set of models serves the cluster's CRD and the same file on one machine. Field names in YAML are
camelCase. Rules that bind one field stand on the field; rules between fields stand in
:mod:`distillery_operator.rules`.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StrictBool, model_validator
from pydantic.alias_generators import to_camel

from distillery_contract import metrics
from distillery_contract.metrics import Direction
from distillery_contract.parameters import Kind
from distillery_operator.values import (
    ExperimentName,
    Hyperparameter,
    Hyperparameters,
    Integer,
    Metric,
    Metrics,
    Name,
    Number,
    ObjectiveMetric,
    Positive,
    SourceName,
    Text,
    Value,
    given,
)

GROUP, VERSION = "distillery.dev", "v1alpha1"
KIND, PLURAL = "DistillationExperiment", "distillationexperiments"
API_VERSION: Final = f"{GROUP}/{VERSION}"

FRONT_LIMIT: Final = 200
FRONT_BYTES: Final = 160_000
"""Points of the front that a status lists, and their size as JSON: with hundreds of writers, a
status of more than 256 KiB would be a burden to etcd, which refuses objects above 1.5 MB."""
GP_TRIALS: Final = 500
"""Trials up to which Gaussian processes suggest in seconds; the time grows with the cube."""
RECENT_LIMIT: Final = 20
"""Trials that a status lists as recent."""


class Model(BaseModel):
    """Base: camelCase in YAML, null is absent, unknown fields refused, values frozen."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
    )

    @model_validator(mode="before")
    @classmethod
    def _given(cls, value: object) -> object:
        return given(value, {field.alias for field in cls.model_fields.values() if field.alias})


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


class When(Model):
    """Where a parameter is searched: only with such values of another one."""

    parameter: Hyperparameter = Field(
        description="The parameter that decides, listed before the one that depends on it."
    )
    values: list[Value] | None = Field(
        None, min_length=1, max_length=100, description="Its values for which this one is searched."
    )
    minimum: Number | None = Field(
        None, description="The least of its values for which this one is searched. Numbers only."
    )
    maximum: Number | None = Field(
        None, description="The greatest of its values for which this one is searched. Numbers only."
    )


class Parameter(Model):
    """One dimension of the search space."""

    name: Hyperparameter = Field(
        description="A hyperparameter of the trainer; training tells what each is."
    )
    type: Kind = Field(
        description="Float and Int are searched between low and high, Categorical among choices."
    )
    low: Number | None = Field(
        None, description="Lower bound, inclusive. Required for Float and Int."
    )
    high: Number | None = Field(
        None, description="Upper bound, inclusive. Required for Float and Int."
    )
    log: StrictBool = Field(
        False, description="Search on a logarithmic scale; low must be above 0. Float and Int only."
    )
    step: Positive | None = Field(
        None, description="Distance between neighbouring values. Float and Int without log only."
    )
    choices: list[Value] | None = Field(
        None,
        max_length=100,
        description="The values, each a number, true, false or a text of at most 256 characters."
        " Required for Categorical.",
    )
    when: When | None = Field(
        None,
        description="Search this parameter only with such values of another one. Elsewhere it is as"
        " in training, then at its default.",
    )


class Baseline(Model):
    """A trial with known hyperparameters. Baselines run first and are drawn in every picture."""

    name: Name = Field(description="Its name in status and report.")
    parameters: Hyperparameters = Field(
        default_factory=dict,
        description="Hyperparameters; what is missing is as in training, then at its default.",
    )


class SamplerType(StrEnum):
    """How suggestions are made."""

    TPE = "TPE"
    NSGAII = "NSGAII"
    GP = "GP"
    RANDOM = "Random"
    QMC = "QMC"
    GRID = "Grid"


class Sampler(Model):
    """The search strategy."""

    type: SamplerType = Field(
        SamplerType.TPE,
        description="TPE models the results, constraints and running trials included. GP does so"
        " by Gaussian processes: better with few trials, slow with many; 500 at most, and it needs"
        " torch. NSGAII breeds generations of twice the parallelism, from 20 to 50 trials."
        " Random, QMC (evenly spread) and Grid (every combination, so every Float needs a step)"
        " look at no result.",
    )
    seed: Integer = Field(42, ge=0, le=2**31 - 1, description="Seed of all suggestions.")
    startup_trials: Integer = Field(
        10,
        ge=1,
        le=1000,
        description="Trials that must have ended before TPE or GP models them; until then"
        " suggestions are spread evenly. TPE and GP only.",
    )
    crossover: Number = Field(
        0.5,
        ge=0,
        le=1,
        description="Share of TPE's suggestions that are crossed with a point of the front: each"
        " value is from either. TPE draws each parameter by itself, and misses what belongs"
        " together. Of several crossings one is taken that improves the front by a forecast, whose"
        " error is drawn by chance.",
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


class StoppingType(StrEnum):
    """How trainings are chosen that end early."""

    FRONT_AWARE = "FrontAware"
    ASHA = "ASHA"
    NONE = "None"


class EarlyStopping(Model):
    """When a training ends before all its steps are done. Editable."""

    type: StoppingType = Field(
        StoppingType.FRONT_AWARE,
        description="FrontAware: those that can no longer beat the best feasible trial that is not"
        " larger. ASHA: those that are not among the best at a rung. None: none.",
    )
    rungs: list[Annotated[Number, Field(ge=0.01, le=0.99)]] = Field(
        [0.11, 0.33],
        min_length=1,
        max_length=8,
        description="Shares of a training's steps, ascending, after which it is measured and may"
        " be stopped.",
    )
    confidence: Annotated[Number, Field(ge=0, le=10)] = Field(
        2.0,
        description="Standard deviations above the expected end that a training is given the"
        " benefit of. FrontAware only; lower is bolder.",
    )
    min_trials: Integer = Field(
        6,
        ge=3,
        le=1000,
        description="Completed trials from which FrontAware learns how trainings end, before which"
        " it stops none; at least four of them must be feasible.",
    )
    reduction_factor: Integer = Field(
        3,
        ge=2,
        le=100,
        description="Of so many trials at a rung one goes on. ASHA only.",
    )
    pause: StrictBool = Field(
        False,
        description="Whether every training pauses at each rung, and is continued from its"
        " checkpoint once it is among the best there. ASHA only.",
    )
    collapse: StrictBool = Field(
        True,
        description="Whether a training whose model answers nothing, or everything, after three"
        " tenths of its steps is stopped, whatever the type; at the first rung, where ten that had"
        " collapsed there stayed so. Where some questions have no answer.",
    )


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
        50, ge=1, le=100_000, description="Trials in all, baselines included."
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


class Metadata(BaseModel):
    """The part of ObjectMeta that Distillery reads; the rest is the API server's."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: ExperimentName
    namespace: str = "default"
    uid: str = ""
    generation: int = 1


class Experiment(Model):
    """A DistillationExperiment as applied to a cluster."""

    api_version: Literal["distillery.dev/v1alpha1"] = Field(description=API_VERSION)
    kind: Literal["DistillationExperiment"] = Field(description=KIND)
    metadata: Metadata
    spec: Spec
    status: dict[str, Any] | None = Field(
        None, description="Written by Distillery; ignored in a file."
    )


COLLAPSE_GUARD: Final = 10.0
"""Least HasAns_exact and NoAns_exact, in percent, unless the experiment says otherwise. A collapsed
model scores about 0 on one of them; 10 lies clearly above that and far below every useful model."""

GUARDS: Final = tuple(Constraint(metric=m, minimum=COLLAPSE_GUARD) for m in metrics.COLLAPSE)


def constraints(spec: Spec) -> list[Constraint]:
    """Return the constraints in force: the experiment's own and, if need be, the collapse guard."""
    given = {constraint.metric for constraint in spec.constraints}
    guards = [guard for guard in GUARDS if guard.metric not in given]
    return [*spec.constraints, *(guards if spec.data.unanswerable else [])]


class ConditionType(StrEnum):
    """What a status says of an experiment."""

    ACCEPTED = "Accepted"  # the spec keeps every rule (on a cluster)
    TEMPLATE_VALID = "TemplateValid"  # the API server takes the trials' Jobs (on a cluster)
    STORAGE_REACHABLE = "StorageReachable"  # the study's database answers (on a cluster)
    WARM_STARTED = "WarmStarted"  # the trials of other experiments inform the sampler
    PREPARED = "Prepared"  # data and teacher are read, checked and cached
    PROGRESSING = "Progressing"  # trials run or will
    SUCCEEDED = "Succeeded"  # ended with at least one point on the front; False once it cannot
    DEGRADED = "Degraded"  # trials fail, or none is feasible: a person should look


class Condition(Model):
    """A metav1.Condition."""

    type: ConditionType = Field(description="What the condition is about.")
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it holds.")
    reason: str = Field(description="Why, in one word for programs.")
    message: str = Field(description="Why, in a sentence for people.")
    last_transition_time: str = Field(description="When the status changed last.")
    observed_generation: int = Field(description="The generation that the condition speaks of.")


class TrialCounts(Model):
    """Trials by state; ``total`` is their sum."""

    total: int = Field(0, description="All suggestions so far; one that is continued counts once.")
    pending: int = Field(0, description="Suggested, but no process runs.")
    running: int = Field(0, description="A process trains.")
    completed: int = Field(0, description="Measured, and all thresholds and constraints hold.")
    infeasible: int = Field(
        0, description="Measured but not acceptable, or ended by the suggestion."
    )
    stopped: int = Field(0, description="Ended early, because they would not improve the front.")
    failed: int = Field(0, description="Ended by something that says nothing of the suggestion.")


class FrontPoint(Model):
    """A trial on the constrained Pareto front."""

    trial: int = Field(description="Number of the trial.")
    baseline: str | None = Field(None, description="Name of the baseline, if it is one.")
    values: dict[str, int | float] = Field(description="The objectives, by metric.")
    metrics: dict[str, int | float] = Field(description="All evaluation metrics.")
    parameters: dict[str, Value] = Field(description="Hyperparameters that the trial was given.")
    model: str | None = Field(
        None, description="Folder of the trained student, relative to the workspace."
    )
    gpu_hours: float = Field(
        0.0, description="Hours of GPUs that its training had; 0 without GPUs."
    )
    cost: float | None = Field(None, description="What it cost, by costPerGpuHour.")


class Best(Model):
    """The feasible trial that is best at one objective."""

    objective: str = Field(description="Metric of the objective.")
    trial: int = Field(description="Number of the trial.")
    value: int | float = Field(description="What the trial reached, in the metric's unit.")


class BaselineValues(Model):
    """How a baseline did."""

    name: str = Field(description="Name of the baseline.")
    trial: int = Field(description="Number of the trial.")
    state: str = Field(description="State of the trial.")
    values: dict[str, int | float] = Field(
        default_factory=dict, description="The objectives, by metric; empty until measured."
    )


class RecentTrial(Model):
    """A trial that runs or ended lately, and why."""

    trial: int = Field(description="Number of the trial.")
    state: str = Field(description="State of the trial.")
    reason: str = Field(description="Why it is in that state, in one word.")
    message: str = Field(description="Why it is in that state, in a sentence.")
    values: dict[str, int | float] = Field(
        default_factory=dict, description="The objectives, by metric; empty until measured."
    )
    progress: float | None = Field(None, description="Share of the training that is done, 0 to 1.")


class BudgetUse(Model):
    """How much of a budget is used."""

    name: str = Field(description="Field of the spec that sets it.")
    used: float = Field(description="Used so far, in the unit of that field.")
    limit: float = Field(description="The budget.")


class Status(Model):
    """What Distillery found, bounded in size whatever the number of trials."""

    observed_generation: int = Field(description="The generation that this status speaks of.")
    state: str = Field("", description="In one word, for people; programs read the conditions.")
    progress: str = Field("", description="Ended trials of maxTrials, such as 12/50.")
    conditions: list[Condition] = Field(description="What is true of the experiment, and why.")
    start_time: str | None = Field(None, description="When the study began.")
    completion_time: str | None = Field(None, description="When the last trial ended.")
    trials: TrialCounts = Field(default_factory=TrialCounts, description="Trials by state.")
    active: int = Field(0, description="Attempts that run or wait for a machine.")
    selector: str = Field("", description="Label selector of the trials' pods.")
    teacher: dict[str, int | float] = Field(
        default_factory=dict, description="Metrics of the teacher on the validation set."
    )
    front: list[FrontPoint] = Field(
        default_factory=list,
        description="Feasible trials that no other beats, by the first objective; capped.",
    )
    front_size: int = Field(0, description="Points of the whole front.")
    front_truncated: bool = Field(False, description="Whether front lists only a part of it.")
    best: list[Best] = Field(default_factory=list, description="Best feasible trials.")
    knee: int | None = Field(None, description="Trial at the bend of the front.")
    hypervolume: float | None = Field(
        None, description="Volume between front and reference, in the objectives' units."
    )
    baselines: list[BaselineValues] = Field(
        default_factory=list, description="How the baselines did."
    )
    recent_trials: list[RecentTrial] = Field(
        default_factory=list, description="Trials that run, then those that ended last; capped."
    )
    results: str = Field("", description="Folder of the results, relative to the workspace.")
    trials_path: str | None = Field(
        None,
        description="Path at the API server that answers with all trials and their learning curves,"
        " as JSON. Its key admits to this experiment's trials whoever may read this.",
    )
    compute_seconds: float = Field(0.0, description="Run time of all attempts of all trials.")
    gpu_hours: float = Field(0.0, description="Hours of GPUs that the trials had; 0 without GPUs.")
    cost: float | None = Field(None, description="What they cost, by costPerGpuHour.")
    gpu_hours_per_front_point: float | None = Field(
        None, description="All GPU-hours over the points of the front."
    )
    cost_per_front_point: float | None = Field(
        None, description="All cost over the points of the front."
    )
    budgets: list[BudgetUse] = Field(
        default_factory=list, description="How much of each budget is used."
    )
