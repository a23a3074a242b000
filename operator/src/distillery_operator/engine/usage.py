"""PURE: what a search has used: run time, GPU-hours and cost."""

from collections.abc import Iterable, Iterator, Sequence

from distillery_contract.request import Stage
from distillery_operator.resource.spec import Spec
from distillery_operator.trials.attempt import Attempt
from distillery_operator.trials.observation import Observation
from distillery_operator.trials.trial import Confirmation, State, Trial


def gpu_hours(seen: Observation) -> float:
    """Return the hours of GPUs that all stages have had so far; 0 without GPUs."""
    return sum(seconds * gpus for seconds, gpus in spans(seen)) / 3600


def capped(seen: Observation) -> bool:
    """Tell whether the namespace has no GPU-hours left for the experiment."""
    return bool(seen.gpus) and gpu_hours(seen) >= seen.caps.gpu_hours.left


def free_slots(spec: Spec, seen: Observation) -> float:
    """Return how many further processes fit into the parallelism of experiment and namespace."""
    held = sum(a.live and not a.lost for a in (*seen.attempts, *seen.foreign))
    return max(0, min(spec.parallelism, seen.caps.parallelism.left) - held)


def hours(seen: Observation) -> float:
    """Return the hours that budgets and cost count: of GPUs, or else of run time."""
    return sum(seconds * (gpus or 1.0) for seconds, gpus in spans(seen)) / 3600


def gpu_hours_of(trials: Iterable[Trial]) -> float:
    """Return the hours of GPUs that ended trials had; 0 without GPUs."""
    return sum(trial.seconds * trial.gpus for trial in trials) / 3600


def hours_of(trials: Iterable[Trial]) -> float:
    """Return the hours of ended trials that budgets and cost count."""
    return sum(trial.seconds * (trial.gpus or 1.0) for trial in trials) / 3600


def in_words(hours: float) -> str:
    """Return hours as people say them: fewer than one in minutes."""
    return f"{hours:.4g} hours" if hours >= 1 else f"{60 * hours:.3g} minutes"


def cost(spec: Spec, spent: float) -> float | None:
    """Return what hours cost, in the currency of the spec's price; None without a price."""
    return None if spec.cost_per_gpu_hour is None else spent * spec.cost_per_gpu_hour


def spans(seen: Observation) -> Iterator[tuple[float, float]]:
    """Yield the run times of whatever has run, each with the GPUs that it had.

    That is trials, the preparation, tests and confirmations.
    """
    yield from seen.once(_stored)
    preparing = [(run_seconds(seen, a), gpus(seen, a)) for a in seen.attempts_of(Stage.PREPARE)]
    kept = seen.preparation
    if kept and kept.seconds >= sum(seconds for seconds, _ in preparing):
        yield kept.seconds, kept.gpus  # earlier releases did not remember its attempts
    else:
        yield from preparing
    for attempt in seen.all_attempts:
        if attempt.stage is not Stage.PREPARE and not seen.stored(attempt):
            yield run_seconds(seen, attempt), gpus(seen, attempt)


def _stored(seen: Observation) -> list[tuple[float, float]]:
    """Return the run times of what has ended, each with the GPUs that it had."""
    tests = [trial.test for trial in seen.trials if trial.test]
    told = [trial for trial in seen.trials if trial.state is not State.RUNNING]
    spent = [(test.seconds, test.gpus) for test in tests]
    spent += [(trial.seconds, trial.gpus) for trial in told]
    return spent + [(found.seconds, found.gpus) for found in seen.once(_confirmed)]


def total(seen: Observation, attempts: Sequence[Attempt]) -> tuple[float, float]:
    """Return the run time of ended attempts, and the GPUs that they had, in the mean over it."""
    seconds = sum(attempt.seconds for attempt in attempts)
    spent = sum(attempt.seconds * gpus(seen, attempt) for attempt in attempts)
    return seconds, spent / seconds if seconds else seen.gpus


def gpus(seen: Observation, attempt: Attempt) -> float:
    """Return how many GPUs an attempt has or had."""
    return seen.gpus if attempt.gpus is None else attempt.gpus


def run_seconds(seen: Observation, attempt: Attempt) -> float:
    """Return how long an attempt has run."""
    runs = attempt.live and not attempt.lost and attempt.started is not None
    return seen.now - (attempt.started or 0.0) if runs else attempt.seconds


def confirm_hours(seen: Observation) -> float:
    """Return the hours of confirmations that budgets and cost count."""
    stored = sum(c.seconds * (c.gpus or 1.0) for c in seen.once(_confirmed)) / 3600
    begun = {a.trial for a in seen.all_attempts if a.stage is Stage.CONFIRM}
    return stored + sum(attempt_hours(seen, number, Stage.CONFIRM) for number in begun)


def _confirmed(seen: Observation) -> list[Confirmation]:
    """Return the confirmations that are stored."""
    return [c for trial in seen.trials for c in trial.confirmations]


def attempt_hours(seen: Observation, trial: int, stage: Stage = Stage.TRAIN) -> float:
    """Return the GPU-hours of the attempts of a trial; without GPUs, hours."""
    attempts = seen.attempts_of(stage, trial)
    return sum(run_seconds(seen, a) * (gpus(seen, a) or 1.0) for a in attempts) / 3600
