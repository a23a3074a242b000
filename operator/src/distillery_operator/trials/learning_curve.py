"""PURE: what a learning curve tells at a rung: a share of the steps at which all are measured."""

from collections.abc import Sequence
from typing import Final

from distillery_contract import rungs
from distillery_operator.trials.trial import Point, Trial

LATE: Final = 0.1
"""Share of a training by which an evaluation may come after its rung."""


def reading(trial: Trial, share: float) -> Point | None:
    """Return the first evaluation of a trial at a rung or soon after; None if there is none.

    A scrape may miss the very one; a much later one is not comparable.
    """
    for point in trial.curve:
        if point.steps and point.step >= rungs.step(share, point.steps):
            late = point.step > rungs.step(share + LATE, point.steps)
            return None if late else point
    return None


def telling(places: Sequence[tuple[int, int | None]], shares: Sequence[float]) -> list[int]:
    """Return which evaluations of a training that has ended are looked at, counted from 0.

    That is the first at each rung, and the last of all. A curve without the others reads the same.

    Args:
        places: steps done and steps planned, of each evaluation.
        shares: of the rungs.
    """
    found = {len(places) - 1} if places else set()
    for share in shares:
        for number, (step, steps) in enumerate(places):
            if steps and step >= rungs.step(share, steps):
                found.add(number)
                break
    return sorted(found)


def rung(trial: Trial, shares: Sequence[float]) -> int | None:
    """Return which rung a trial was measured at last, counted from 0; None before the first."""
    reached = [place for place, share in enumerate(shares) if reading(trial, share)]
    return max(reached, default=None)


def after(trial: Trial, share: float) -> bool:
    """Tell whether a trial's last evaluation is at a share of its training or later."""
    if not trial.curve:
        return False
    last = trial.curve[-1]
    return last.steps is not None and last.step >= share * last.steps
