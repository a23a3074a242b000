import asyncio
import logging
import threading
from collections.abc import Callable

import aiohttp
import pytest

from distillery_operator.controller import health
from distillery_operator.controller.health import Health
from distillery_operator.errors import DatabaseUnavailable
from support.operators import LOOPBACK, free_port


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


@pytest.mark.parametrize("host", LOOPBACK)
def test_probes_may_come_by_ipv4_and_by_ipv6(host: str) -> None:
    assert answers(lambda: None, "/readyz", host=host) == [(200, "ready\n")]


def test_probes_leave_no_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Three in a minute of each kind would be most of what the log has."""
    with caplog.at_level(logging.INFO):
        assert len(answers(lambda: None, "/healthz", "/readyz")) == 2
    assert [record.getMessage() for record in caplog.records] == []


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
