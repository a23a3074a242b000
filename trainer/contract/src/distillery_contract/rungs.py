"""Rungs: shares of a training at which every trial is measured, so that trials can be compared.

The trainer evaluates at the steps of the rungs, and the operator looks for evaluations there.
"""


def step(rung: float, steps: int) -> int:
    """Return the step after which a training of so many steps is measured at a rung."""
    return max(1, round(rung * steps))
