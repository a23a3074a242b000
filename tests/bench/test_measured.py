"""What benches of a control plane share: how freed slots and the Jobs that take them are paired."""

import pytest

from measured.jobs import Jobs, Moments


def seen(experiment: str, *moments: tuple[float, float | None]) -> dict[str, Moments]:
    made = [Moments(experiment, added, complete) for added, complete in moments]
    return {f"{experiment}-{number}": each for number, each in enumerate(made)}


def test_a_job_takes_the_slot_that_has_been_free_for_longest() -> None:
    a = seen("a", (0.0, 5.0), (0.1, 3.0), (3.2, None), (5.1, 9.0))
    b = seen("b", (0.0, 4.0), (0.0, None), (6.0, None))
    jobs = Jobs(trials=a | b)
    assert jobs.refills("a", 2) == [(3.0, 3.2), (5.0, 5.1)]  # what was freed at 9 is still free
    assert jobs.refills("b", 2) == [(4.0, 6.0)]
    assert sorted(jobs.turnarounds(2, 0.0, 10.0)) == pytest.approx([0.1, 0.2, 2.0])
    assert jobs.turnarounds(2, 3.5, 4.5) == [2.0]
