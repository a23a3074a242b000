"""Namespaces that come, refuse, and go, one by one."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

import pytest

from distillery_operator.cluster.api import Api
from distillery_operator.cluster.cache import Cache
from distillery_operator.cluster.kinds import Key, Kind
from distillery_operator.controller import resync
from distillery_operator.controller.event_writer import Announcer
from distillery_operator.controller.namespaces import Namespaces
from distillery_operator.controller.work_queue import WorkQueue
from distillery_operator.errors import Refused
from distillery_operator.resource import label_names
from distillery_operator.telemetry import operator_metrics
from support import shapes
from support.shapes import Object


class Server:
    """Experiments, Jobs and pods by namespace; some of which refuse."""

    def __init__(self, *spaces: str) -> None:
        self.spaces_, self.refusing = {*spaces}, set[str]()
        self.events: list[Mapping[str, Any]] = []
        self.asked: list[tuple[str, str]] = []

    async def found(self, kind: Kind, namespace: str, _: str) -> AsyncIterator[Object]:
        self.asked.append((str(kind), namespace))
        await self.may_list(kind, namespace)
        made: Object = {}
        if kind is Kind.EXPERIMENT:
            made = experiment(namespace)
        elif kind is Kind.JOB:
            made = shapes.job()
            made["metadata"]["namespace"] = namespace
        if made:
            yield made

    async def spaces(self, selector: str) -> AsyncIterator[Object]:
        assert selector == "team=nlp"
        for name in self.spaces_:
            yield {"metadata": {"name": name}}

    async def may_list(self, _: Kind, namespace: str) -> None:
        if namespace in self.refusing:
            raise Refused("Forbidden", "experiments is forbidden")

    async def event(self, body: Mapping[str, Any]) -> None:
        self.events.append(body)


def experiment(namespace: str) -> Object:
    own = {"name": "tiny", "namespace": namespace, "uid": f"uid-{namespace}", "generation": 1}
    return {"metadata": {**own, "creationTimestamp": shapes.at(0)}, "spec": {}}


class Case:
    def __init__(self, server: Server, **given: Any) -> None:
        self.server, self.cache, self.queue = server, Cache(), WorkQueue[Key]()
        api = cast(Api, server)
        self.announcer = Announcer(api)
        self.spaces = Namespaces(api, self.cache, self.queue, self.announcer, **given)

    def look(self) -> list[str]:
        asyncio.run(self.spaces.look())
        return self.spaces.watched

    def knows(self, namespace: str) -> bool:
        """Tell whether its Job is known."""
        uid = shapes.job()["metadata"]["labels"][label_names.EXPERIMENT_UID]
        return bool(self.cache.jobs(Key(namespace, "tiny"), uid))

    def events(self) -> list[str]:
        """Write what is to be told, and return it."""

        async def write() -> None:
            writing = asyncio.create_task(self.announcer.write())
            await asyncio.sleep(0)
            writing.cancel()

        asyncio.run(write())
        return [f"{e['involvedObject']['namespace']}: {e['message']}" for e in self.server.events]


@pytest.fixture(autouse=True)
def _nothing_shown_before() -> None:
    operator_metrics.NAMESPACE_WATCHED.clear()


def shown() -> dict[str, float]:
    (family,) = operator_metrics.NAMESPACE_WATCHED.collect()
    return {s.labels["namespace"]: s.value for s in family.samples}


def test_a_namespace_that_refuses_is_left_out_and_watched_again_when_it_answers() -> None:
    case = Case(Server(), names=["one", "two"])
    case.server.refusing = {"two"}
    assert case.look() == ["one"]
    assert case.knows("one")
    assert not case.knows("two")
    assert shown() == {"one": 1, "two": 0}
    case.server.refusing = set()
    assert case.look() == ["one", "two"]
    assert case.knows("two")  # before a watch shows any experiment
    assert shown() == {"one": 1, "two": 1}


def test_one_that_refuses_later_is_forgotten_and_its_experiments_are_told() -> None:
    case = Case(Server(), names=["one", "two"])
    case.look()
    for name in ("one", "two"):
        case.cache.put(Kind.EXPERIMENT, experiment(name))
    case.server.refusing = {"two"}
    assert case.look() == ["one"]
    assert (case.knows("one"), case.knows("two")) == (True, False)
    assert [*case.cache.experiments] == [Key("one", "tiny")]
    assert not case.spaces.holds("two")
    assert case.queue.depth == 1  # so that its session ends
    (event,) = case.events()
    assert event.startswith(
        "two: the namespace two is watched no more, for it refuses: experiments"
    )


def test_namespaces_are_followed_by_their_labels() -> None:
    case = Case(Server("one"), selector="team=nlp")
    assert case.look() == ["one"]
    case.server.spaces_ = {"one", "two"}
    assert case.look() == ["one", "two"]
    case.cache.put(Kind.EXPERIMENT, experiment("one"))
    case.server.spaces_ = {"two"}
    assert case.look() == ["two"]
    assert shown() == {"two": 1}
    (event,) = case.events()
    assert "it is gone, or has the labels team=nlp no more" in event


def test_a_list_of_everything_is_not_spoilt_by_a_namespace_that_refuses() -> None:
    """What the others hold is listed, and what the one held is not taken for lost."""
    case = Case(Server(), names=["one", "two"])
    case.look()
    for name in ("one", "two"):
        case.cache.put(Kind.EXPERIMENT, experiment(name))
    case.cache.put(
        Kind.EXPERIMENT, {"metadata": {**experiment("one")["metadata"], "name": "gone", "uid": "x"}}
    )
    case.server.refusing = {"two"}
    api = cast(Api, case.server)
    find = resync._find_missed(Kind.EXPERIMENT, api, case.cache, case.queue, case.spaces)
    assert asyncio.run(find) == 1
    assert [*case.cache.experiments] == [Key("one", "tiny")]
    assert case.spaces.watched == ["one"]


def test_whoever_watches_everything_must_be_allowed_to() -> None:
    case = Case(Server())
    assert case.look() == [""]
    assert case.spaces.holds("any")
    assert shown() == {}
    refusing = Case(Server())
    refusing.server.refusing = {""}
    with pytest.raises(Refused):
        refusing.look()
