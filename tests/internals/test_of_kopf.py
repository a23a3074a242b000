"""What is assumed of kopf beyond its documentation: a test that fails names what moved."""

import asyncio
from typing import Any, NoReturn

import kopf
import pytest
from kopf._cogs.structs.ephemera import AnyMemo
from kopf._cogs.structs.references import Resource
from kopf._core.engines.indexing import OperatorIndexers
from kopf._core.reactor.inventory import ResourceMemories
from kopf._core.reactor.processing import process_resource_event

from distillery_operator.internals import of_kopf

PODS = Resource("", "v1", "pods", namespaced=True)


class Copied(Exception):
    """Somebody has copied an object."""


class Uncopied(dict[str, Any]):
    """A part of an object that must not be copied."""

    def __deepcopy__(self, memo: object) -> NoReturn:
        raise Copied


def handled(settings: kopf.OperatorSettings) -> list[str]:
    """Let kopf process an event; there is no API server, so that a call to it would fail."""
    registry, seen = kopf.OperatorRegistry(), list[str]()

    @kopf.on.event("", "v1", "pods", id="pods", registry=registry)
    async def changed(event: Any, **_: Any) -> None:
        seen.append(event["object"]["metadata"]["name"])

    metadata = {"name": "a", "namespace": "b", "uid": "c", "annotations": Uncopied(key="value")}
    body: Any = {"metadata": metadata, "spec": Uncopied(key="value")}
    processing = process_resource_event(
        lifecycle=kopf.lifecycles.all_at_once,
        indexers=OperatorIndexers(),
        registry=registry,
        settings=settings,
        memories=ResourceMemories(),
        memobase=AnyMemo(object()),
        resource=PODS,
        raw_event={"type": "MODIFIED", "object": body},
        event_queue=asyncio.Queue(),
        no_throttling=True,
    )
    asyncio.run(processing)
    return seen


def test_an_event_reaches_its_handler_without_a_copy_and_without_a_call() -> None:
    settings = kopf.OperatorSettings()
    of_kopf.keep_nothing(settings)
    assert handled(settings) == ["a"]


def test_kopf_left_alone_copies_each_object() -> None:
    with pytest.raises(Copied):  # once this fails, kopf has a way of its own, or needs none
        handled(kopf.OperatorSettings())


def test_kopf_waits_as_long_as_it_is_told_before_it_forgets_an_object() -> None:
    settings = kopf.OperatorSettings()
    assert settings.queueing.idle_timeout > of_kopf.IDLE_SECONDS
    of_kopf.keep_nothing(settings)
    assert settings.queueing.idle_timeout == of_kopf.IDLE_SECONDS
    assert settings.posting.enabled is False
