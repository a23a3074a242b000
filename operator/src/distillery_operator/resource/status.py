"""What Distillery writes into ``status``."""

from enum import StrEnum
from typing import Final, Literal

from pydantic import Field

from distillery_operator.resource.fields import (
    Model,
    Value,
)

FRONT_LIMIT: Final = 200
FRONT_BYTES: Final = 160_000
"""Points of the front that a status lists, and their size as JSON: with hundreds of writers, a
status of more than 256 KiB would be a burden to etcd, which refuses objects above 1.5 MB."""
SUGGESTION_LIMIT: Final = 100
"""Suggestions of persons that a status lists."""
RECENT_LIMIT: Final = 20
"""Trials that a status lists as recent."""


class ConditionType(StrEnum):
    """What a status says of an experiment."""

    ACCEPTED = "Accepted"  # the spec keeps every rule (on a cluster)
    TEMPLATE_VALID = "TemplateValid"  # the API server takes the trials' Jobs (on a cluster)
    STORAGE_REACHABLE = "StorageReachable"  # the study's database answers (on a cluster)
    ACTIONS_ACCEPTED = "ActionsAccepted"  # the API server did what was asked last (on a cluster)
    VISITED = "Visited"  # no fault of the program keeps the operator from it (only if one does)
    WARM_STARTED = "WarmStarted"  # the trials of other experiments inform the sampler
    TRAINER_ACCEPTED = "TrainerAccepted"  # no other trainer than that of the results, or allowed
    PREPARED = "Prepared"  # data and teacher are read, checked and cached
    PROGRESSING = "Progressing"  # trials run or will
    SUCCEEDED = "Succeeded"  # ended with at least one point on the front; False once it cannot
    CONFIRMED = "Confirmed"  # the front is trained again with other seeds (if spec.confirm asks)
    TESTED = "Tested"  # the front and the baselines are evaluated on data.test (if it is given)
    HELD_BACK = "HeldBack"  # caps of the namespace hold something back (on a cluster, if they do)
    FOREIGN_TRIALS = "ForeignTrials"  # others have put trials into the study; only if they have
    DEGRADED = "Degraded"  # trials fail, or none is feasible: a person should look
    RESTORED = "Restored"  # the study differs from what was told of it (on a cluster, if it does)
    DELETING = "Deleting"  # study and results are being deleted (on a cluster, while they are)


class Condition(Model):
    """A metav1.Condition."""

    type: ConditionType = Field(description="What the condition is about.")
    status: Literal["True", "False", "Unknown"] = Field(
        description="Whether the condition holds: True, False or Unknown."
    )
    reason: str = Field(description="Why, in one word for programs.")
    message: str = Field(description="Why, in a sentence for people.")
    last_transition_time: str = Field(description="When the condition last changed its status.")
    observed_generation: int = Field(
        description="The generation of the experiment that the condition describes."
    )


class TrialCounts(Model):
    """Trials by state; ``total`` is their sum."""

    total: int = Field(
        0, description="All suggestions so far. A stopped one that continues later counts once."
    )
    pending: int = Field(0, description="Suggested, but no process trains yet.")
    running: int = Field(0, description="A process trains.")
    completed: int = Field(
        0, description="Trained to the end, and all thresholds and constraints hold."
    )
    infeasible: int = Field(
        0, description="Trained to the end but not acceptable, or ended by what was suggested."
    )
    stopped: int = Field(
        0, description="Stopped early: it collapsed, or would not have improved the front."
    )
    failed: int = Field(
        0,
        description="Ended for a reason that says nothing about what was suggested, such as a"
        " crash.",
    )


class Expected(Model):
    """What a metric is expected to come to when the trial is trained again with another seed."""

    mean: float = Field(description="Its mean.")
    deviation: float = Field(description="Standard deviation around the mean.")


class Expectation(Model):
    """How well the expectations of a metric foresee trials that they were not learnt from."""

    metric: str = Field(description="Name of the metric.")
    trials: int = Field(description="Completed trials that the expectations were learnt from.")
    error: float = Field(
        description="Error on trials that are left out: the root of its mean square."
    )
    spread: float = Field(
        description="The same error of the mean of all trials, which the expectations must beat."
    )


class ConfirmationRun(Model):
    """A further training of a trial, with another seed."""

    seed: int = Field(description="The seed.")
    state: str = Field(description="Completed, Infeasible or Failed, as of a trial.")
    reason: str = Field(description="Why it ended, in one word.")
    values: dict[str, int | float] = Field(
        default_factory=dict,
        description="Value of each objective on the validation set. Empty unless it was completed.",
    )


class PointConfirmation(Model):
    """What further trainings of a point of the front, with other seeds, have shown."""

    seed: int = Field(description="The seed of the model that is kept and exported.")
    runs: list[ConfirmationRun] = Field(
        default_factory=list, description="The further trainings, each with its seed."
    )
    mean: dict[str, int | float] = Field(
        default_factory=dict,
        description="Mean of each objective over the further trainings that were completed. The"
        " search's own training is left out, for it was chosen for its values.",
    )
    deviation: dict[str, int | float] = Field(
        default_factory=dict,
        description="Standard deviation of each objective over the same trainings, from two on.",
    )
    chance: float | None = Field(
        None,
        description="Chance that the point stands on the front of means over all seeds, 0 to 1."
        " Known once the search is over.",
    )
    confirmed: bool = Field(
        False,
        description="Whether two further trainings or more were completed, and the point more"
        " likely than not stands on the front of means.",
    )


class FrontPoint(Model):
    """A trial on the constrained Pareto front."""

    trial: int = Field(description="Number of the trial.")
    baseline: str | None = Field(None, description="Name of the baseline, if the trial is one.")
    suggestion: str | None = Field(
        None, description="Name of the suggestion, if a person suggested the trial by hand."
    )
    values: dict[str, int | float] = Field(
        description="Value of each objective on the validation set, by metric: as measured of the"
        " model or, with confirm.report: Expectation, as expected with any seed."
    )
    metrics: dict[str, int | float] = Field(
        description="Value of each evaluation metric on the validation set, which the search has"
        " optimised, as measured of the model."
    )
    test: dict[str, int | float] = Field(
        default_factory=dict,
        description="Value of each evaluation metric on the test set, which no decision reads."
        " Empty until the search is over and the point is evaluated there, once.",
    )
    expected: dict[str, Expected] = Field(
        default_factory=dict,
        description="What each objective that is measured comes to if the trial is trained again,"
        " by what the other trials teach. Left out while they teach no more than their mean.",
    )
    confirmation: PointConfirmation | None = Field(
        None,
        description="What further trainings with other seeds have shown. Only if spec.confirm asks"
        " for them, or there are some.",
    )
    parameters: dict[str, Value] = Field(description="Hyperparameters of the trial.")
    model: str | None = Field(
        None, description="Folder of the trained student, relative to the workspace."
    )
    gpu_hours: float = Field(0.0, description="GPU-hours of its training. 0 without GPUs.")
    cost: float | None = Field(None, description="Cost of its training, by costPerGpuHour.")


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
        default_factory=dict,
        description="Value of each objective, by metric. Empty until there is a measurement.",
    )
    test: dict[str, int | float] = Field(
        default_factory=dict,
        description="Value of each objective on the test set. Empty until it is evaluated there.",
    )


class SuggestionValues(Model):
    """How a suggestion of a person did."""

    name: str = Field(description="Name of the suggestion.")
    trial: int | None = Field(None, description="Number of the trial. None while it waits.")
    state: str = Field(description="State of the trial, or Waiting.")
    values: dict[str, int | float] = Field(
        default_factory=dict,
        description="Value of each objective, by metric. Empty until there is a measurement.",
    )


class RecentTrial(Model):
    """A trial that runs or ended lately, and why."""

    trial: int = Field(description="Number of the trial.")
    suggestion: str | None = Field(
        None, description="Name of the suggestion, if a person suggested the trial by hand."
    )
    state: str = Field(description="State of the trial.")
    reason: str = Field(description="Why the trial is in that state, in one word.")
    message: str = Field(description="Why the trial is in that state, in a sentence.")
    values: dict[str, int | float] = Field(
        default_factory=dict,
        description="Value of each objective, by metric. Empty until there is a measurement.",
    )
    progress: float | None = Field(None, description="Share of the training that is done, 0 to 1.")


class BudgetUse(Model):
    """How much of a budget is used."""

    name: str = Field(description="Field of the spec that sets the budget.")
    used: float = Field(description="How much is used so far, in the unit of that field.")
    limit: float = Field(description="The budget.")


class Status(Model):
    """What Distillery found, bounded in size whatever the number of trials."""

    observed_generation: int = Field(
        0, description="The generation of the experiment that this status describes."
    )
    finished_generation: int | None = Field(
        None,
        description="The generation of which nothing is left to do. The operator reads the study"
        " again when the spec changes.",
    )
    release: str | None = Field(
        None, description="The release of the operator that wrote this status."
    )
    state: str = Field(
        "", description="State of the experiment in one word, for people; programs read conditions."
    )
    owner: str | None = Field(
        None,
        description="The operator that works on the experiment: namespace and name of its release."
        " Every other operator leaves the experiment alone.",
    )
    progress: str = Field("", description="Ended trials out of maxTrials, such as 12/50.")
    conditions: list[Condition] = Field(
        default_factory=list, description="What holds for the experiment, and why."
    )
    start_time: str | None = Field(None, description="When the study began.")
    completion_time: str | None = Field(None, description="When the last trial ended.")
    trials: TrialCounts = Field(default_factory=TrialCounts, description="Trials by state.")
    active: int = Field(0, description="Attempts that run or wait for a machine.")
    selector: str = Field("", description="Label selector of the trials' pods.")
    teacher: dict[str, int | float] = Field(
        default_factory=dict, description="Metrics of the teacher on the validation set."
    )
    teacher_test: dict[str, int | float] = Field(
        default_factory=dict,
        description="Metrics of the teacher on the test set. Empty until there is a test.",
    )
    front: list[FrontPoint] = Field(
        default_factory=list,
        description="The Pareto front: feasible trials that no other trial beats, sorted by the"
        " first objective. At most 200 of them, spread evenly over the front.",
    )
    front_size: int = Field(0, description="Number of points of the whole front.")
    front_truncated: bool = Field(False, description="Whether front lists only a part of it.")
    expectations: list[Expectation] = Field(
        default_factory=list,
        description="How well the expectations of the front foresee what they were not learnt"
        " from. Metrics that the completed trials tell too little of are left out.",
    )
    best: list[Best] = Field(
        default_factory=list, description="The best feasible trial for each objective."
    )
    knee: int | None = Field(
        None, description="Trial at the knee of the front, where the front bends."
    )
    hypervolume: float | None = Field(
        None,
        description="Volume between the front and the reference point, in the product of the"
        " objectives' units.",
    )
    hypervolume_reference: dict[str, int | float] = Field(
        default_factory=dict,
        description="The reference point of the hypervolume, by objective: a little beyond the"
        " threshold or, without one, a little beyond the worst value that a trial can have.",
    )
    baselines: list[BaselineValues] = Field(
        default_factory=list, description="State and values of the baselines."
    )
    suggestions: list[SuggestionValues] = Field(
        default_factory=list,
        description="State and values of what persons suggested by hand. At most 100: those of the"
        " spec, then others, such as those of distillery suggest on one machine.",
    )
    recent_trials: list[RecentTrial] = Field(
        default_factory=list, description="Trials that run, then those that ended last. At most 20."
    )
    results: str = Field("", description="Folder of the results, relative to the workspace.")
    trials_path: str | None = Field(
        None,
        description="Path at the API server. It answers with all trials and their learning curves,"
        " as JSON. The path contains a key, so whoever may read this status may read these trials.",
    )
    compute_seconds: float = Field(0.0, description="Run time of all attempts of all trials.")
    gpu_hours: float = Field(
        0.0,
        description="GPU-hours of all trials, the preparation, the tests and the confirmations. 0"
        " without GPUs.",
    )
    cost: float | None = Field(
        None, description="What the experiment has cost so far, by costPerGpuHour."
    )
    gpu_hours_per_front_point: float | None = Field(
        None, description="GPU-hours divided by the number of points of the front."
    )
    cost_per_front_point: float | None = Field(
        None, description="Cost divided by the number of points of the front."
    )
    budgets: list[BudgetUse] = Field(
        default_factory=list, description="How much of each budget is used."
    )
