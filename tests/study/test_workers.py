"""Workers: order and thread per key, and an event loop that goes on meanwhile."""

import asyncio
import threading
import time

import pytest

from distillery_operator.study.workers import Workers

KEYS = [f"experiment-{n}" for n in range(20)]


def test_work_of_a_key_runs_in_its_order_in_one_thread() -> None:
    done: list[tuple[str, int, int]] = []

    def work(key: str, number: int) -> None:
        time.sleep(0.001 * (number % 3))
        done.append((key, number, threading.get_ident()))

    async def all_keys() -> None:
        await asyncio.gather(*(workers.run(k, work, k, n) for n in range(6) for k in KEYS))

    with Workers(3) as workers:
        asyncio.run(all_keys())
    for key in KEYS:
        assert [n for k, n, _ in done if k == key] == list(range(6))
        assert len({thread for k, _, thread in done if k == key}) == 1
    assert len({thread for _, _, thread in done}) == len(workers) == 3
    assert threading.main_thread().ident not in {thread for _, _, thread in done}


def test_the_event_loop_goes_on_while_they_work() -> None:
    released = threading.Event()

    async def release() -> None:
        waiting = asyncio.create_task(workers.run("a", released.wait, 60))
        await asyncio.sleep(0)
        released.set()  # never reached if the wait held the loop
        assert await waiting

    with Workers(1) as workers:
        asyncio.run(release())


def test_an_error_reaches_who_asked_and_the_thread_lives_on() -> None:
    with Workers(1) as workers:
        with pytest.raises(ZeroDivisionError):
            asyncio.run(workers.run("a", divmod, 1, 0))
        assert asyncio.run(workers.run("a", divmod, 7, 2)) == (3, 1)


def test_closing_waits_for_what_runs_and_gives_up_the_rest() -> None:
    begun, done = threading.Event(), []

    def slow(number: int) -> None:
        begun.set()
        time.sleep(0.1)
        done.append(number)

    async def close_while_it_runs() -> None:
        tasks = [asyncio.create_task(workers.run("a", slow, n)) for n in range(3)]
        await asyncio.to_thread(begun.wait)
        workers.close()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(e) for e in ended[1:]] == [asyncio.CancelledError] * 2

    workers = Workers(1)
    asyncio.run(close_while_it_runs())
    assert done == [0]
