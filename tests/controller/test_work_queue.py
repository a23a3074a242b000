import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distillery_operator.controller.work_queue import WorkQueue
from distillery_operator.errors import ApiUnavailable
from support.virtual_time import now, run

SPACING = 0.5


class Visits:
    """Takes keys out of a queue and notes when."""

    def __init__(
        self,
        queue: WorkQueue[str],
        visit: Callable[[str], Awaitable[float | None]] | None = None,
        workers: int = 1,
    ) -> None:
        self.begun: dict[str, list[float]] = defaultdict(list)
        self.held: dict[str, int] = defaultdict(int)
        self.held_most = 0
        self._visit = visit
        self._tasks = [asyncio.create_task(queue.work(self._take)) for _ in range(workers)]

    async def _take(self, key: str) -> float | None:
        self.begun[key].append(now())
        self.held[key] += 1
        self.held_most = max(self.held_most, self.held[key])
        try:
            return await self._visit(key) if self._visit else None
        finally:
            self.held[key] -= 1

    async def until(self, seconds: float) -> dict[str, list[float]]:
        """Wait, end, and return when each key was taken."""
        await asyncio.sleep(seconds - now())
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        return dict(self.begun)


def test_a_key_that_is_added_several_times_is_taken_once() -> None:
    async def work() -> object:
        queue = WorkQueue[str](SPACING)
        for key in "abab":
            queue.add(key)
        return await Visits(queue).until(60)

    assert run(work) == {"a": [0], "b": [0]}


def test_keys_are_taken_in_the_order_of_their_times() -> None:
    async def work() -> object:
        queue = WorkQueue[str](SPACING)
        for key, delay in (("c", 3.0), ("a", 1.0), ("d", 4.0), ("b", 2.0)):
            queue.add(key, delay)
        return await Visits(queue).until(60)

    assert run(work) == {"a": [1], "b": [2], "c": [3], "d": [4]}


@pytest.mark.parametrize("delays", [(5.0, 2.0), (2.0, 5.0), (2.0, 2.0), (5.0, 2.0, 9.0)])
def test_the_earliest_of_several_times_stands(delays: tuple[float, ...]) -> None:
    async def work() -> object:
        queue = WorkQueue[str](SPACING)
        visits = Visits(queue)
        await asyncio.sleep(0)  # somebody waits already
        for delay in delays:
            queue.add("a", delay)
            await asyncio.sleep(0)
        return await visits.until(60)

    assert run(work) == {"a": [2]}


def test_a_key_that_is_added_during_its_visit_comes_again() -> None:
    async def work() -> object:
        queue = WorkQueue[str](SPACING)

        async def visit(key: str) -> None:
            await asyncio.sleep(10)
            if now() == 10:
                queue.add(key, 7.0)
                queue.add(key, 3.0)
                queue.add(key, 5.0)

        visits = Visits(queue, visit)
        queue.add("a")
        return await visits.until(60)

    assert run(work) == {"a": [0, 13]}


def test_a_key_that_comes_again_at_once_waits_for_the_spacing() -> None:
    async def work() -> object:
        queue = WorkQueue[str](SPACING)
        visits = Visits(queue)
        for _ in range(21):
            queue.add("a")
            await asyncio.sleep(0.1)
        return await visits.until(60)

    assert run(work) == {"a": [0, 0.5, 1.0, 1.5, 2.0]}


def test_a_visit_says_when_it_wants_the_next() -> None:
    async def work() -> object:
        queue = WorkQueue[str](SPACING)
        wanted = iter([10.0, 0.0, None])

        async def visit(_: str) -> float | None:
            return next(wanted)

        visits = Visits(queue, visit)
        queue.add("a")
        return await visits.until(60)

    assert run(work) == {"a": [0, 10, 10.5]}


def test_a_wish_does_not_delay_what_was_added_meanwhile() -> None:
    async def work() -> object:
        queue = WorkQueue[str](SPACING)

        async def visit(key: str) -> float | None:
            if now() == 0:
                queue.add(key, 2.0)
                return 30.0
            return None

        visits = Visits(queue, visit)
        queue.add("a")
        return await visits.until(60)

    assert run(work) == {"a": [0, 2]}


def test_a_key_that_fails_comes_later_and_later_until_it_succeeds() -> None:
    async def work() -> dict[str, list[float]]:
        queue = WorkQueue[str](SPACING)
        tries = 0

        async def visit(_: str) -> None:
            nonlocal tries
            tries += 1
            if tries != 12:
                raise ApiUnavailable("the API server answers 503")

        visits = Visits(queue, visit)
        queue.add("a")
        while tries < 12:
            await asyncio.sleep(1)
        queue.add("a")
        return await visits.until(now() + 2.5)

    times = run(work)["a"]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    expected = [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    for gap, wanted in zip(gaps[:11], expected, strict=True):
        assert 0.8 * wanted <= gap <= 1.2 * wanted
    assert 0.8 <= gaps[12] <= 1.2  # after a success it begins anew


def test_news_of_a_key_that_failed_are_looked_at_without_delay() -> None:
    async def work() -> object:
        queue = WorkQueue[str](SPACING)

        async def visit(_: str) -> None:
            if now() < 100:
                raise ApiUnavailable("the API server answers 503")

        visits = Visits(queue, visit)
        queue.add("a")
        await asyncio.sleep(100)  # by now the next look is more than 20 seconds away
        queue.add("a")
        return (await visits.until(160))["a"][-1]

    assert run(work) == 100


def test_a_failure_concerns_its_key_alone(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> dict[str, list[float]]:
        queue = WorkQueue[str](SPACING)

        async def visit(key: str) -> None:
            if key == "told":
                raise ApiUnavailable("the API server answers 503")
            if key == "fault":
                raise KeyError("metadata")

        visits = Visits(queue, visit)
        for key in ("told", "fault", "fine"):
            queue.add(key)
        return await visits.until(0.7)

    assert run(work) == {"told": [0], "fault": [0], "fine": [0]}
    told, fault = caplog.records
    assert (told.levelno, told.getMessage()) == (
        logging.WARNING,
        "told: the API server answers 503",
    )
    assert told.exc_info is None
    assert fault.levelno == logging.ERROR
    assert fault.exc_info


def test_a_key_that_is_forgotten_begins_anew() -> None:
    async def work() -> object:
        queue = WorkQueue[str](SPACING)
        tries = 0

        async def visit(key: str) -> None:
            nonlocal tries
            tries += 1
            if tries == 3:
                queue.forget(key)
            raise ApiUnavailable("the API server answers 503")

        visits = Visits(queue, visit)
        queue.add("a")
        return await visits.until(8)

    first, second, third, fourth, *_ = run(work)["a"]  # type: ignore[index]
    assert 0.8 <= second - first <= 1.2
    assert 1.6 <= third - second <= 2.4
    assert 0.8 <= fourth - third <= 1.2


def test_what_is_added_while_its_predecessor_is_forgotten_is_not_lost() -> None:
    """An experiment is created anew while the visit that saw it deleted gives up its study."""

    async def work() -> object:
        queue = WorkQueue[str](SPACING)

        async def visit(key: str) -> None:
            if now() == 0:
                await asyncio.sleep(3)
                queue.add(key)
                queue.forget(key)

        visits = Visits(queue, visit)
        queue.add("a")
        return await visits.until(60)

    assert run(work) == {"a": [0, 3]}


def test_nothing_remains_of_keys_that_are_gone() -> None:
    async def work() -> dict[str, object]:
        queue = WorkQueue[str](SPACING)

        async def visit(key: str) -> None:
            queue.forget(key)

        visits = Visits(queue, visit)
        for number in range(100):
            queue.add(str(number))
        await visits.until(60)
        return {name: held for name, held in vars(queue).items() if isinstance(held, dict | set)}

    remains = run(work)
    assert len(remains) == 6
    assert not any(remains.values())


def test_depth_and_age_are_those_of_keys_that_are_due() -> None:
    async def work() -> list[tuple[int, float]]:
        queue = WorkQueue[str](SPACING)
        shown = [(queue.depth, queue.oldest_seconds)]
        for key, delay in (("a", 0.0), ("b", 2.0), ("c", 20.0)):
            queue.add(key, delay)
        for seconds in (1, 9):
            await asyncio.sleep(seconds)
            shown.append((queue.depth, round(queue.oldest_seconds, 6)))
        assert await queue.get() == "a"
        shown.append((queue.depth, round(queue.oldest_seconds, 6)))
        return shown

    assert run(work) == [(0, 0), (1, 1), (2, 10), (1, 8)]


def test_an_owner_with_many_keys_keeps_no_other_waiting() -> None:
    async def work() -> dict[str, list[float]]:
        queue = WorkQueue[str](SPACING, owner=lambda key: key[0])
        visits = Visits(queue, lambda _: asyncio.sleep(10), workers=2)
        for number in range(6):
            queue.add(f"a{number}")
        await asyncio.sleep(1)  # both work for a
        queue.add("b")
        return await visits.until(100)

    begun = run(work)
    assert begun["b"] == [10]
    assert [begun[f"a{n}"] for n in range(6)] == [[0], [0], [10], [20], [20], [30]]


def test_several_workers_share_the_keys() -> None:
    async def work() -> object:
        queue = WorkQueue[str](SPACING)
        visits = Visits(queue, lambda _: asyncio.sleep(10), workers=3)
        await asyncio.sleep(0)  # all of them wait
        for key in "abcd":
            queue.add(key)
        return await visits.until(60)

    assert run(work) == {"a": [0], "b": [0], "c": [0], "d": [10]}


ADDS = st.lists(
    st.tuples(
        st.floats(0, 30).map(lambda x: round(x, 1)),
        st.sampled_from("abc"),
        st.sampled_from([0.0, 0.0, 0.3, 2.0, 20.0]),
    ),
    min_size=1,
    max_size=30,
)
OUTCOMES = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.1, 3.0]),
        st.sampled_from(["fine", "fine", "fails", "again", "in five seconds"]),
    ),
    max_size=12,
)


@settings(deadline=None, max_examples=150)
@given(ADDS, OUTCOMES, st.integers(1, 4))
def test_no_key_is_in_two_hands_or_lost_or_taken_too_often(
    adds: list[tuple[float, str, float]], outcomes: list[tuple[float, str]], workers: int
) -> None:
    async def work() -> tuple[dict[str, list[float]], int]:
        queue, script = WorkQueue[str](SPACING), iter(outcomes)

        async def visit(_: str) -> float | None:
            seconds, outcome = next(script, (0.0, "fine"))
            await asyncio.sleep(seconds)
            if outcome == "fails":
                raise ApiUnavailable("the API server answers 503")
            return {"again": 0.0, "in five seconds": 5.0}.get(outcome)

        visits = Visits(queue, visit, workers)
        for when, key, delay in sorted(adds):
            await asyncio.sleep(max(0.0, when - now()))
            queue.add(key, delay)
        return await visits.until(10_000), visits.held_most

    begun, held_most = run(work)
    assert held_most == 1
    assert begun.keys() == {key for _, key, _ in adds}
    for times in begun.values():
        assert all(later - earlier > SPACING - 1e-6 for earlier, later in pairwise(times))
    for when, key, _ in adds:
        assert begun[key][-1] > when - 1e-6
