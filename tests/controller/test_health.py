import asyncio
import socket
import threading
from collections.abc import Callable

import aiohttp
import pytest

from distillery_operator.controller import health
from distillery_operator.controller.health import Health
from distillery_operator.errors import DatabaseUnavailable
from support.operators import free_port


def answers(
    check: Callable[[], None], *paths: str, host: str = "127.0.0.1"
) -> list[tuple[int, str]]:
    """Return how some paths are answered, one after the other."""

    async def ask() -> list[tuple[int, str]]:
        served = Health(check)
        port = free_port()
        await served.open(port)
        found = []
        async with aiohttp.ClientSession() as session:
            for path in paths:
                async with session.get(f"http://{host}:{port}{path}") as answer:
                    found.append((answer.status, await answer.text()))
        await served.close()
        return found

    return asyncio.run(ask())


def test_an_operator_without_its_database_is_alive_but_not_ready() -> None:
    def check() -> None:
        raise DatabaseUnavailable("nobody listens there")

    assert answers(check, "/healthz", "/readyz") == [
        (200, "alive\n"),
        (503, "nobody listens there\n"),
    ]


def test_it_answers_by_ipv6_too() -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    assert answers(lambda: None, "/readyz", host="[::1]") == [(200, "ready\n")]


def test_the_database_is_asked_once_however_often_probes_come() -> None:
    asked = []
    found = answers(lambda: asked.append(1), *["/readyz"] * 5)
    assert found == [(200, "ready\n")] * 5
    assert len(asked) == 1


def test_a_database_that_hangs_is_said_and_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(health, "CHECK_SECONDS", 0.1)
    release = threading.Event()

    def check() -> None:
        release.wait()

    found = answers(check, "/readyz", "/healthz")
    release.set()
    assert found == [(503, "the database has not answered for 0.1 s\n"), (200, "alive\n")]


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_probes_come_by_ipv6_too() -> None:
    async def ask() -> int:
        served, port = Health(lambda: None), free_port()
        await served.open(port)
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://[::1]:{port}/healthz") as answer,
        ):
            status = answer.status
        await served.close()
        return status

    assert asyncio.run(ask()) == 200
