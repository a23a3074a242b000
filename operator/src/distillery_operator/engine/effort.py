"""PURE: what a search has used: run time, GPU-hours and cost."""

from collections.abc import Iterable, Iterator, Sequence

from distillery_contract.request import Stage
from distillery_operator.resource.spec import Spec
from distillery_operator.trials.attempt import Attempt
from distillery_operator.trials.observation import Observation
from distillery_operator.trials.trial import State, Trial


def gpu_hours(seen: Observation) -> float:
    """Return the hours of GPUs that trials and preparation have had so far; 0 without GPUs."""
    return sum(seconds * gpus for seconds, gpus in spans(seen)) / 3600


def hours(seen: Observation) -> float:
    """Return the hours that budgets and cost count: of GPUs, or else of run time."""
    return sum(seconds * (gpus or 1.0) for seconds, gpus in spans(seen)) / 3600


def gpu_hours_of(trials: Iterable[Trial]) -> float:
    """Return the hours of GPUs that ended trials had; 0 without GPUs."""
    return sum(trial.seconds * trial.gpus for trial in trials) / 3600


def hours_of(trials: Iterable[Trial]) -> float:
    """Return the hours of ended trials that budgets and cost count."""
    return sum(trial.seconds * (trial.gpus or 1.0) for trial in trials) / 3600


def cost(spec: Spec, spent: float) -> float | None:
    """Return what hours cost, in the currency of the spec's price; None without a price."""
    return None if spec.cost_per_gpu_hour is None else spent * spec.cost_per_gpu_hour


def spans(seen: Observation) -> Iterator[tuple[float, float]]:
    """Yield the run times of trials and preparation, each with the GPUs that it had."""
    told = {trial.number for trial in seen.trials if trial.state is not State.RUNNING}
    yield from ((trial.seconds, trial.gpus) for trial in seen.trials if trial.number in told)
    preparing = sum(run_seconds(seen, a) for a in seen.attempts if a.stage is Stage.PREPARE)
    kept = seen.preparation
    if kept and kept.seconds >= preparing:  # its attempts may be gone from the cluster
        yield kept.seconds, kept.gpus
    else:
        yield preparing, seen.gpus
    for attempt in seen.attempts:
        if attempt.stage is Stage.TRAIN and attempt.trial not in told:
            yield run_seconds(seen, attempt), seen.gpus


def run_seconds(seen: Observation, attempt: Attempt) -> float:
    """Return how long an attempt has run."""
    runs = attempt.live and not attempt.lost and attempt.started is not None
    return seen.now - (attempt.started or 0.0) if runs else attempt.seconds


def attempt_hours(seen: Observation, attempts: Sequence[Attempt]) -> float:
    """Return the GPU-hours of the trainings among some attempts; without GPUs, hours."""
    own = (a for a in attempts if a.stage is Stage.TRAIN)
    return sum(run_seconds(seen, attempt) for attempt in own) * (seen.gpus or 1.0) / 3600
