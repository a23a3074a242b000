import asyncio
from collections.abc import Mapping
from typing import Any, cast

from distillery_operator.cluster.api import Api
from distillery_operator.controller import event_writer
from distillery_operator.controller.event_writer import Announcer
from distillery_operator.controller.events import WARNING, Event


def test_routine_events_are_a_burst_and_then_a_trickle() -> None:
    allowance = event_writer.Allowance()
    assert sum(allowance.take(0.0) for _ in range(100)) == event_writer.BURST
    assert [allowance.take(t) for t in (29.0, 30.0, 31.0, 60.0)] == [False, True, False, True]
    assert sum(allowance.take(1e6) for _ in range(100)) == event_writer.BURST


class Server:
    """An API server that keeps events; each next one is written sooner than the one before."""

    def __init__(self, events: int) -> None:
        self.events: list[Mapping[str, Any]] = []
        self._pause = 0.01 * events

    async def event(self, body: Mapping[str, Any]) -> None:
        self._pause -= 0.01
        await asyncio.sleep(self._pause)
        self.events.append(body)


def test_events_of_one_second_are_listed_in_the_order_in_which_they_were_told() -> None:
    """By name, as the API server lists them; `kubectl describe` keeps this order."""
    told = [str(number) for number in range(event_writer.WRITERS)]
    server = Server(len(told))
    metadata = {"name": "tiny", "namespace": "science", "uid": "7"}

    async def tell() -> None:
        announcer = Announcer(cast(Api, server))
        for message in told:
            announcer.tell(metadata, Event(WARNING, "Crashed", message))
        writers = [asyncio.create_task(announcer.write()) for _ in told]
        while len(server.events) < len(told):
            await asyncio.sleep(0.001)
        for writer in writers:
            writer.cancel()

    asyncio.run(tell())
    assert [event["message"] for event in server.events] != told
    listed = sorted(server.events, key=lambda event: str(event["metadata"]["name"]))
    assert [event["message"] for event in listed] == told
