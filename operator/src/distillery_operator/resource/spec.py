"""What a user may write into ``spec``.

One set of models serves the cluster's CRD and the same file on one machine. Field names in YAML are
camelCase. Rules that bind one field stand on the field; rules between fields stand in
:mod:`distillery_operator.resource.crd.cel_rules`, and what CEL cannot say in
:mod:`distillery_operator.resource.python_rules`.
"""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field, JsonValue, StrictBool

from distillery_contract import metrics
from distillery_contract.metrics import Direction
from distillery_operator.resource.baseline import Baseline
from distillery_operator.resource.confirm import Confirm
from distillery_operator.resource.data import Data
from distillery_operator.resource.early_stopping import EarlyStopping
from distillery_operator.resource.fields import (
    Hyperparameters,
    Integer,
    Metric,
    Model,
    Name,
    Number,
    ObjectiveMetric,
    Positive,
)
from distillery_operator.resource.parameter import Parameter
from distillery_operator.resource.sampler import Sampler
from distillery_operator.resource.student import Student
from distillery_operator.resource.suggestion import Suggestion
from distillery_operator.resource.teacher import Teacher


class Objective(Model):
    """One axis of the Pareto front."""

    metric: ObjectiveMetric = Field(
        description="An evaluation metric. The fields of teacher.floor say what each metric is."
    )
    direction: Direction = Field(
        description="Maximize if a larger value is better, Minimize if a smaller one is."
    )
    threshold: Number | None = Field(
        None,
        description="The worst value that a trial on the front may have, in the metric's unit: the"
        " least value of a metric that is maximised, the greatest of one that is minimised."
        " Editable.",
    )


class Constraint(Model):
    """A bound on a metric that is not optimised."""

    metric: Metric = Field(
        description="An evaluation metric. The fields of teacher.floor say what each metric is."
    )
    minimum: Number | None = Field(
        None, description="The least value that the metric may have, in its unit."
    )
    maximum: Number | None = Field(
        None, description="The greatest value that the metric may have, in its unit."
    )


class WarmStart(Model):
    """Another experiment, whose trials inform the sampler."""

    experiment: Name = Field(
        description="Name of the other experiment, in the same namespace or in the same workspace."
    )
    other_data: StrictBool = Field(
        False,
        description="Also take trials that had other data, another teacher or, with initialization:"
        " Pretrained, another student.model.",
    )


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
        description="How many of the latest ended trials are looked at. Unless given, a tenth of"
        " all ended trials, and at least 20.",
    )
    gain_percent: Annotated[Number, Field(gt=0, le=100)] = Field(
        0.5,
        description="The search ends if those trials made the front's hypervolume grow by less than"
        " this, in percent.",
    )


class DeletionPolicy(StrEnum):
    """What becomes of study and results when the experiment is deleted."""

    RETAIN = "Retain"
    DELETE = "Delete"


class MetricsDurability(StrEnum):
    """What keeps the pod of a trial whose metrics are not stored yet."""

    BEST_EFFORT = "BestEffort"
    STRICT = "Strict"


class TrainerChange(StrEnum):
    """What becomes of a search whose trainer is another one than that of its results."""

    REFUSE = "Refuse"
    ALLOW = "Allow"


class Spec(Model):
    """What is wanted."""

    objectives: list[Objective] = Field(
        min_length=1,
        max_length=8,
        description="The metrics to trade off. Immutable, except for the thresholds.",
    )
    constraints: list[Constraint] = Field(
        default_factory=list,
        max_length=32,
        description="Bounds on metrics. Where some questions have no answer, HasAns_exact and"
        " NoAns_exact must each reach 10 percent, unless you give other bounds for them. This keeps"
        " collapsed models off the front.",
    )
    parameters: list[Parameter] = Field(
        min_length=1, max_length=64, description="The search space. Immutable."
    )
    training: Hyperparameters = Field(
        default_factory=dict,
        description="Hyperparameters with one fixed value for all trials. A baseline may have"
        " another value. Immutable.",
    )
    baselines: list[Baseline] = Field(
        default_factory=list,
        max_length=32,
        description="Trials with known hyperparameters. They run first, and every picture shows"
        " them.",
    )
    suggestions: list[Suggestion] = Field(
        default_factory=list,
        max_length=100,
        description="Points of your own. They run next, after the baselines, and count as all other"
        " suggestions. You may add some while the search runs.",
    )
    sampler: Sampler = Field(default_factory=Sampler, description="How new trials are suggested.")
    early_stopping: EarlyStopping = Field(
        default_factory=EarlyStopping,
        description="Which trainings stop before all their steps are done.",
    )
    warm_start_from: list[WarmStart] = Field(
        default_factory=list,
        max_length=16,
        description="Other experiments whose trials inform the sampler. Only trials that could have"
        " been suggested here are taken, and only once. They never stand on the front of this"
        " experiment.",
    )
    data: Data = Field(description="The questions to train on, and those to measure on. Immutable.")
    teacher: Teacher = Field(
        description="The fine-tuned model that the students learn from. Immutable."
    )
    student: Student = Field(
        default_factory=Student,
        description="The pretrained model of students that do not start from the teacher."
        " Immutable.",
    )
    max_trials: Integer = Field(
        50,
        ge=1,
        le=100_000,
        description="Trials in all, baselines included. Duplicates of earlier trials do not count.",
    )
    parallelism: Integer = Field(
        1, ge=1, le=10_000, description="Number of trials that run at the same time."
    )
    max_failed_trials: Integer = Field(
        5,
        ge=0,
        le=100_000,
        description="How many trials may fail. If one more fails, the experiment ends. Infeasible"
        " trials do not count.",
    )
    max_interruptions: Integer = Field(
        20,
        ge=0,
        le=10_000,
        description="How often one trial may be interrupted, for example by an eviction. It resumes"
        " from its checkpoint each time. After one more interruption it has failed.",
    )
    max_crashes: Integer = Field(
        1,
        ge=0,
        le=100,
        description="How often one trial is tried again after a crash. After one more crash it has"
        " failed.",
    )
    max_duration_seconds: Integer | None = Field(
        None,
        ge=1,
        le=10**9,
        description="Wall time of the experiment, in seconds. After that no trial starts.",
    )
    max_gpu_hours: Positive | None = Field(
        None,
        description="GPU-hours of all trials and of the preparation. When they are used up, no"
        " trial starts. Where trials have no GPU, hours of run time count instead.",
    )
    cost_per_gpu_hour: Positive | None = Field(
        None,
        description="Price of one GPU-hour, in any currency. GPU-hours are counted as for"
        " maxGpuHours.",
    )
    max_cost: Positive | None = Field(
        None,
        description="What the experiment may cost, in the currency of costPerGpuHour. When it is"
        " used up, no trial starts.",
    )
    stagnation: Stagnation | None = Field(
        None,
        description="Ends a search that finds nothing better any more. Unless given, only the other"
        " budgets end a search. {} means the defaults.",
    )
    confirm: Confirm | None = Field(
        None,
        description="Trains points of the front whose place is in doubt again, with other seeds,"
        " once the search is over. You may add or change it at any time, also after the end. {}"
        " means the defaults.",
    )
    trial_timeout_seconds: Integer | None = Field(
        None,
        ge=1,
        le=10**9,
        description="Run time that one trial may take, in seconds, all its attempts together. A"
        " trial that takes longer is infeasible.",
    )
    silence_timeout_seconds: Integer | None = Field(
        None,
        ge=60,
        le=10**9,
        description="How long a training may report no further step, in seconds: longer than its"
        " start and its longest evaluation take. A slow one may take three times as long as its"
        " longest step so far. After that the training is ended, and it resumes from its"
        " checkpoint, at most maxCrashes times. The steps are read from the trainer's /metrics,"
        " which the operator must be able to reach.",
    )
    pending_timeout_seconds: Integer | None = Field(
        None,
        ge=60,
        le=10**9,
        description="How long a trial or the preparation may wait for a machine, in seconds; the"
        " time in a queue does not count. After that its Job ends, and its slot is free for others."
        " It starts again after the same time, as an interruption that counts for"
        " maxInterruptions. Used on a cluster only.",
    )
    checkpoint_retention: CheckpointRetention = Field(
        CheckpointRetention.FRONT,
        description="Front: only baselines and trials on the front keep their model. All: every"
        " trial keeps its model.",
    )
    deletion_policy: DeletionPolicy = Field(
        DeletionPolicy.RETAIN,
        description="What becomes of the study in the database and of the results folder when the"
        " experiment is deleted. Retain: both stay. Delete: both are deleted, and the experiment"
        " stays until they are. Editable at any time, even then. Used on a cluster only.",
    )
    metrics_durability: MetricsDurability = Field(
        MetricsDurability.BEST_EFFORT,
        description="BestEffort: if a pod is deleted before the operator has read it, its metrics"
        " may be lost. Strict: a finalizer holds the pod of each trial until its metrics are"
        " stored. To drain a node or to delete a namespace then waits for the operator. Used on a"
        " cluster only.",
    )
    trainer_change: TrainerChange = Field(
        TrainerChange.REFUSE,
        description="What happens if another trainer than that of the results would make further"
        " ones: another release of the trainer, of torch or of transformers. Refuse: no trial"
        " starts, but trials that have begun resume. Allow: the search continues, and each trial"
        " says what made it.",
    )
    suspend: StrictBool = Field(
        False,
        description="true: nothing starts, and running trials write a checkpoint and end. false"
        " again: they resume, and the search continues.",
    )
    template: dict[str, JsonValue] = Field(
        default_factory=dict,
        description="PodTemplateSpec of the trials: resources, volumes, nodeSelector and so on. The"
        " container that trains is named trainer. Used on a cluster only.",
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
