"""PURE: whether a search's budgets let it go on. Called by ``decide``."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from distillery_contract.request import Stage
from distillery_operator.engine import usage
from distillery_operator.resource import space
from distillery_operator.resource.spec import Spec, Stagnation
from distillery_operator.search import grid_and_random, own_points
from distillery_operator.trials import hypervolume
from distillery_operator.trials.observation import Observation
from distillery_operator.trials.trial import State

MAX_TRIALS_REACHED: Final = "MaxTrialsReached"
MAX_DURATION_REACHED: Final = "MaxDurationReached"
MAX_GPU_HOURS_REACHED: Final = "MaxGpuHoursReached"
MAX_COST_REACHED: Final = "MaxCostReached"
STAGNATED: Final = "Stagnated"
GRID_EXHAUSTED: Final = "GridExhausted"
SPACE_EXHAUSTED: Final = "SpaceExhausted"

REPEATS: Final = 20
"""Suggestions, one after the other, that must not all repeat earlier ones."""

STAGNATION_TRIALS: Final = 20
STAGNATION_SHARE: Final = 0.1
"""Ended trials that must bring something, at least, and as a share of all that have ended."""


@dataclass(frozen=True)
class Closing:
    """Why no further trial is asked for: one word and one sentence.

    Attributes:
        reason, message: why.
        finishes: whether trials that were suggested before, or by a person, are still run.
    """

    reason: str
    message: str
    finishes: bool = False


@dataclass(frozen=True)
class Use:
    """How much of a budget is used, in the unit of the field of the spec that is its name."""

    name: str
    used: float
    limit: float


def closing(
    spec: Spec, seen: Observation, goes_on: Callable[[], bool] = lambda: False
) -> Closing | None:
    """Return which budget ends the search, or None if all of them let it go on.

    Args:
        spec: the budgets.
        seen: what there is.
        goes_on: tells whether stopped trials would go on, budgets aside.
    """
    whole = _suggested(spec, seen)
    if whole and not any(t.state is State.RUNNING for t in seen.trials) and not goes_on():
        return whole
    return _late(spec, seen) or _spent(spec, seen) or whole or _stagnation(spec, seen)


def affordable(spec: Spec, seen: Observation, cap: float = math.inf) -> float:
    """Return how many trials may start; infinity without a budget of GPU-hours or cost.

    Args:
        spec: the budgets.
        seen: what there is.
        cap: hours beside them that must not be passed either.

    A further trial is expected to take the mean run time of those that have ended, and so is what
    runs. So a budget is not passed by as many trials as run at a time.
    """
    hours, limits = usage.hours(seen), [limit for _, _, limit in _limits(spec)]
    if math.isinf(min(*limits, cap, math.inf)):
        return math.inf
    searched = hours - usage.confirm_hours(seen)
    own = (_of_search(spec, limit) - searched for limit in limits)
    left = min((*own, *(limit - hours for limit in (*limits, cap))))
    each = _hours_each(seen)
    if left <= 0 or not each:
        return 0 if left <= 0 else math.inf
    begun = {a.trial for a in seen.attempts if a.live and a.stage is Stage.TRAIN}
    open_hours = [usage.attempt_hours(seen, trial) for trial in begun]
    left -= sum(max(0.0, each - had) for had in open_hours)
    return max(0, math.floor(left / each))


def left_to_confirm(spec: Spec, seen: Observation) -> tuple[float, str]:
    """Return the hours that confirmations may still take, and what bounds them in words."""
    own, everything = usage.confirm_hours(seen), usage.hours(seen)
    share = spec.confirm.share if spec.confirm else 0.0
    most = (everything - own) * share / (1 - share)
    found = [(most - own, f"their share of {share:.3g} of all hours, {usage.in_words(most)}")]
    found += [
        (hours - everything, f"the budget of {words}, which you may raise")
        for _, words, hours in _limits(spec)
    ]
    limit = spec.max_duration_seconds
    if limit is not None and seen.now - seen.started >= limit:
        found.append((0.0, f"the time budget of {limit} s, which you may raise"))
    return min(found)


def _of_search(spec: Spec, limit: float) -> float:
    """Return what a budget leaves to the search: confirmations take a share of each."""
    return limit * (1 - spec.confirm.share) if spec.confirm else limit


def uses(spec: Spec, seen: Observation, over: Closing | None) -> list[Use]:
    """Return every budget of an experiment and, if it is over, what was used of it by then."""
    found = [Use("maxTrials", seen.settled, spec.max_trials)]
    if spec.max_duration_seconds is not None:
        limit = spec.max_duration_seconds
        found.append(Use("maxDurationSeconds", _age(limit, seen, over), limit))
    if spec.max_gpu_hours is not None:
        found.append(Use("maxGpuHours", round(usage.hours(seen), 3), spec.max_gpu_hours))
    if spec.max_cost is not None:
        found.append(
            Use("maxCost", round(usage.cost(spec, usage.hours(seen)) or 0.0, 4), spec.max_cost)
        )
    return found


def _age(limit: int, seen: Observation, over: Closing | None) -> float:
    """Return how long an experiment has run."""
    if over is None:
        return seen.now - seen.started
    if over.reason == MAX_DURATION_REACHED:
        return limit
    return max((t.ended or 0.0 for t in seen.trials), default=seen.now) - seen.started


def _hours_each(seen: Observation) -> float:
    """Return the mean hours of the trials that have ended; 0 before the first."""
    known = [usage.hours_of([trial]) for trial in seen.trials if trial.seconds > 0]
    return sum(known) / len(known) if known else 0.0


def _limits(spec: Spec) -> Iterator[tuple[str, str, float]]:
    """Yield the budgets of computing: reason, what it is in words, and its hours."""
    if spec.max_gpu_hours is not None:
        yield MAX_GPU_HOURS_REACHED, f"{spec.max_gpu_hours:g} GPU-hours", spec.max_gpu_hours
    if spec.max_cost is not None and spec.cost_per_gpu_hour is not None:
        worth = spec.max_cost / spec.cost_per_gpu_hour
        yield MAX_COST_REACHED, f"{spec.max_cost:g}, worth {worth:.4g} GPU-hours", worth


def missing(spec: Spec, seen: Observation) -> int:
    """Return how many trials there are to suggest, those that a person gave included."""
    points = _waiting(spec, seen) + grid_and_random.remaining(spec, seen.trials)
    return int(max(0, min(spec.max_trials - seen.suggested, points)))


def own(spec: Spec, seen: Observation) -> int:
    """Return how many trials that a person gave are to be suggested.

    They run even where the search itself has nothing more to suggest.
    """
    return max(0, min(spec.max_trials - seen.suggested, _waiting(spec, seen)))


def _waiting(spec: Spec, seen: Observation) -> int:
    """Return how many points of a person have no trial yet, whether or not they may have one."""
    baselines = own_points.baselines(spec, seen.trials)
    suggestions = own_points.suggestions(spec, seen.trials)
    return len(baselines) + len(suggestions) + seen.others.enqueued


def _suggested(spec: Spec, seen: Observation) -> Closing | None:
    if seen.repeats >= REPEATS:
        message = f"the last {REPEATS} suggestions all repeat earlier ones"
        return Closing(SPACE_EXHAUSTED, message, finishes=True)
    if missing(spec, seen):
        return None
    if seen.suggested >= spec.max_trials:
        message = f"all {spec.max_trials} trials are suggested"
        if waiting := _waiting(spec, seen):
            message += f"; points that you gave wait ({waiting}), so raise maxTrials"
        return Closing(MAX_TRIALS_REACHED, message, finishes=True)
    message = f"all {space.grid_size(spec)} points of the grid are suggested"
    return Closing(GRID_EXHAUSTED, message, finishes=True)


def _late(spec: Spec, seen: Observation) -> Closing | None:
    age, limit = seen.now - seen.started, spec.max_duration_seconds
    if limit is None or age < _of_search(spec, limit):
        return None
    own = " without the share for confirmations" * (spec.confirm is not None)
    message = f"the time budget of {limit} s{own} is spent after {age:.0f} s"
    return Closing(MAX_DURATION_REACHED, message)


def _spent(spec: Spec, seen: Observation) -> Closing | None:
    limits = sorted(_limits(spec), key=lambda limit: limit[2])
    if not limits or affordable(spec, seen) >= 1:
        return None
    reason, words, _ = limits[0]
    used, each = usage.hours(seen), _hours_each(seen)
    own = " without the share for confirmations" * (spec.confirm is not None)
    message = f"the budget of {words}{own} is spent: {used:.4g} are used"
    return Closing(reason, message + f", and a further trial takes about {each:.4g}" * bool(each))


def _stagnation(spec: Spec, seen: Observation) -> Closing | None:
    rule = spec.stagnation
    if rule is None or seen.preparation is None:
        return None
    told = seen.verdicts(spec).told
    if len(told) <= (window := _window(rule, len(told))):
        return None
    corner = hypervolume.corner(spec, hypervolume.reference(spec, seen.preparation))
    before = seen.verdicts(spec).volume(told[:-window], corner)
    after = seen.verdicts(spec).volume(told, corner)
    gain = 100 * (after / before - 1) if before else math.inf
    if gain >= rule.gain_percent:
        return None
    return Closing(
        STAGNATED,
        f"the last {window} ended trials made the hypervolume grow by {gain:.2g} %,"
        f" less than {rule.gain_percent:g} %",
        finishes=True,
    )


def _window(rule: Stagnation, ended: int) -> int:
    return rule.trials or max(STAGNATION_TRIALS, math.ceil(STAGNATION_SHARE * ended))
