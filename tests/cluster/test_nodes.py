"""Attempts whose node does not answer, as their pods show it."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from distillery_operator.cluster import attempts, nodes, pod_template
from distillery_operator.cluster.cache import Cache
from distillery_operator.cluster.kinds import Kind
from distillery_operator.trials.attempt import Attempt, Phase
from support import shapes
from support.shapes import (
    Object,
    condition,
    container,
    disruption,
    job,
    pod,
    running,
    scheduled,
    seconds,
    terminated,
    waiting,
)

DIGEST = pod_template.digest(shapes.experiment(), shapes.DEFAULTS)
TAINTED = disruption("DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint")
READY = condition("Ready", "True")
NOT_READY = condition("Ready", "False")
INSIDE = condition("ContainersReady", "True")
UNREADY = condition("Ready", "False", "ContainersNotReady", "containers with unready status")
NONE_INSIDE = condition("ContainersReady", "False", "ContainersNotReady")
GATED = condition("Ready", "False", "ReadinessGatesNotReady", "condition type x does not exist")


def seen(found: Object, whole: Object, minute: float, node: str | None = "gpu-7") -> Attempt:
    """What a watch has shown of a pod, as the attempt that it is at some minute."""
    if node:
        whole["spec"]["nodeName"] = node
    cache = Cache()
    cache.put(Kind.JOB, found)
    cache.put(Kind.POD, whole)
    key = cache.put(Kind.POD, {**whole, "status": {**whole["status"], "message": "x"}})
    assert key is not None
    (kept,) = cache.pods(key, shapes.UID)
    return nodes.noted(attempts.attempt(found, [kept], DIGEST), [kept], seconds(minute))


EVICTED: dict[str, Any] = {"deleted": 20, "grace": 120}


@pytest.mark.parametrize(
    ("phase", "trainer", "started"),
    [
        ("Running", running(), seconds(5)),
        ("Running", terminated(75), seconds(5)),  # and the pod has not ended for all that
        ("Pending", waiting("ContainerCreating"), None),
    ],
)
def test_a_pod_that_outlives_its_grace_is_on_a_lost_node(
    phase: str, trainer: Object, started: float | None
) -> None:
    whole = pod(job(), phase, trainer, scheduled(), TAINTED, **EVICTED)
    in_time, late = seen(job(), whole, 22.5), seen(job(), whole, 24)
    assert (in_time.lost, in_time.reason) == (False, "" if started else "Starting")
    assert late.live
    assert (late.lost, late.reason, late.started) == (True, "NodeLost", started)
    assert late.ended == seconds(22)  # its time counts until it was given up
    for word in ("gpu-7", "kubectl delete node gpu-7", "out-of-service=nodeshutdown:NoExecute"):
        assert word in late.message
    assert "by force does not help" in late.message


def test_a_node_that_does_not_answer_is_told_before_its_pods_are_given_up() -> None:
    silent = seen(job(), pod(job(), "Running", running(), NOT_READY, INSIDE), 10)
    assert (silent.phase, silent.reason, silent.lost) == (Phase.RUNNING, "NodeLost", False)
    assert "gpu-7 does not answer" in silent.message
    assert "as long as any other node answers" in silent.message  # else it gives up none
    assert seen(job(), pod(job(), "Unknown", running(), NOT_READY), 10).reason == "NodeLost"


@pytest.mark.parametrize(
    "conditions",
    [
        (READY, INSIDE),
        (UNREADY, NONE_INSIDE),  # a probe of the template's, or a sidecar that starts
        (GATED, INSIDE),
        (),
    ],
)
def test_a_pod_that_is_not_ready_for_reasons_of_its_own_is_not_lost(
    conditions: tuple[Object, ...],
) -> None:
    assert seen(job(), pod(job(), "Running", running(), *conditions), 10).reason == ""


def test_what_has_ended_or_has_no_node_is_not_lost() -> None:
    ended = pod(job(shapes.disrupted()), "Failed", running(), TAINTED, **EVICTED)
    assert not seen(job(shapes.disrupted()), ended, 90).lost
    unbound = pod(job(), "Pending", None, **EVICTED)
    assert not seen(job(), unbound, 90, node=None).lost
    beside = pod(
        job(), "Running", terminated(0), others=(container("shipper", running()),), **EVICTED
    )
    read = seen(job(), beside, 90)  # its trainer has ended: it is read, wherever its pod is
    assert (read.lost, read.live, read.exit_code) == (False, False, 0)


def test_a_lost_nodes_silence_counts_for_nothing_once_its_pod_is_gone() -> None:
    gone = pod(
        job(), "Failed", running(), disruption("DeletionByPodGC", "PodGC: x"), deleted=20, grace=120
    )
    found = job({**shapes.disrupted(), "lastTransitionTime": shapes.at(600)})
    assert seen(found, gone, 601).seconds == 17 * 60


def test_the_runner_tells_lost_nodes_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    from distillery_operator.cluster.api import Api
    from distillery_operator.cluster.runner import Runner

    whole = pod(job(), "Running", running(), TAINTED, **EVICTED)
    whole["spec"]["nodeName"] = "gpu-7"
    cache = Cache()
    cache.put(Kind.JOB, job())
    cache.put(Kind.POD, whole)
    runner = Runner(Api(lambda *_: None), cache, shapes.experiment(), shapes.DEFAULTS)
    for minute, lost in ((21, False), (24, True)):
        monkeypatch.setattr("time.time", lambda minute=minute: seconds(minute))
        (found,) = asyncio.run(runner.list())
        assert found.lost is lost
    orphan = Cache()
    orphan.put(Kind.POD, whole)
    runner = Runner(Api(lambda *_: None), orphan, shapes.experiment(), shapes.DEFAULTS)
    (found,) = asyncio.run(runner.list())
    assert (found.lost, found.live) == (True, True)
    assert replace(found, lost=False).remains
