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
RECENT_LIMIT: Final = 20
"""Trials that a status lists as recent."""


class ConditionType(StrEnum):
    """What a status says of an experiment."""

    ACCEPTED = "Accepted"  # the spec keeps every rule (on a cluster)
    TEMPLATE_VALID = "TemplateValid"  # the API server takes the trials' Jobs (on a cluster)
    STORAGE_REACHABLE = "StorageReachable"  # the study's database answers (on a cluster)
    ACTIONS_ACCEPTED = "ActionsAccepted"  # the API server did what was asked last (on a cluster)
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
    hypervolume_reference: dict[str, int | float] = Field(
        default_factory=dict,
        description="The corner that the hypervolume is measured from, by objective: a little"
        " beyond the threshold or, without one, beyond the worst value that a trial can have.",
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
