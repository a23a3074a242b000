"""Plays the kubelets of a control plane that has no node: pods run for a while and end.

What their trainer leaves is what ``quick_trainer`` would: the numbers follow from the request. The
API server, the Job controller and the garbage collector are the real ones.
"""

import asyncio
import base64
import json
import random
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from math import exp
from pathlib import Path
from typing import Any

import aiohttp
from prometheus_client import CollectorRegistry, Gauge, Info
from prometheus_client.openmetrics import exposition
from ruamel.yaml import YAML

from distillery_contract import metrics, size, wire
from distillery_contract.request import Request, Stage
from distillery_operator.cluster.api import BRIEF
from support import quick_trainer

Object = dict[str, Any]

SELECTOR = "app.kubernetes.io/managed-by=distillery"
"""Of all Jobs and pods of an operator."""

RETRIED = (HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS)

CONNECTIONS = 40
"""To the API server at once; what waits for one is late."""


def connect(kubeconfig: Path) -> aiohttp.ClientSession:
    """Return a session with an API server; close it."""
    config = YAML(typ="safe").load(kubeconfig.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    context = ssl.create_default_context(cadata=authority)
    return aiohttp.ClientSession(
        cluster["server"],
        headers={"Authorization": f"Bearer {user['token']}"},
        connector=aiohttp.TCPConnector(ssl=context, limit=CONNECTIONS),
        timeout=aiohttp.ClientTimeout(total=None),
    )


async def events(
    session: aiohttp.ClientSession, path: str, labels: str, fields: str = ""
) -> AsyncIterator[Object]:
    """Yield what a watch shows, for ever; one that breaks begins again with all that there is.

    Version 0 is whatever the API server has in memory. Without one it waits until that is as new as
    etcd, and refuses after 3 s; an etcd before 3.4.31 does not tell it so while nothing that is
    watched changes.
    """
    query = {"watch": "1", "labelSelector": labels, "fieldSelector": fields, "resourceVersion": "0"}
    while True:
        try:
            async with session.get(path, params=query) as answer:
                answer.raise_for_status()  # such as 429: one that has just started is not ready
                buffer = bytearray()
                async for chunk in answer.content.iter_any():
                    *lines, buffer = (buffer + chunk).split(b"\n")
                    for line in lines:
                        yield json.loads(line)
        except (aiohttp.ClientError, TimeoutError):
            pass  # the API server may be restarting
        await asyncio.sleep(0.2)


def last_words(request: Request) -> str:
    """Return the final exposition of a request's training."""
    registry, gauges = CollectorRegistry(), {}

    def show(family: metrics.Family, value: float, **labels: str) -> None:
        if family.name not in gauges:
            gauges[family.name] = Gauge(family.name, family.help, list(labels), registry=registry)
        (gauges[family.name].labels(**labels) if labels else gauges[family.name]).set(value)

    def say(family: metrics.Family, **labels: str) -> None:
        Info(family.name, family.help, registry=registry).info(labels)

    if request.stage is Stage.TRAIN:
        layers, rate = (
            int(request.parameters.get("n_layers", 6)),
            float(request.parameters.get("learning_rate", 0.2)),
        )
        fit = exp(-abs(rate - 0.2)) * (0.5 + layers / 12)
        luck = (int(request.parameters.get("seed", 42)) - 42) % 5
        found = {"HasAns_exact": 90 * fit - luck, "NoAns_exact": 100 - 10 * fit - luck}
        found["exact"] = sum(found.values()) / 2
        found["parameter_count"] = float(
            size.student_size(quick_trainer.SOURCES, request.parameters)
        )
        for name, value in found.items():
            show(metrics.METRIC, value, metric=name)
        show(metrics.METRIC_STEP, 20)
        show(metrics.FINAL, 1)
    elif request.stage is Stage.PREPARE:
        for source, architecture in quick_trainer.SOURCES.items():
            for dimension, number in architecture.dimensions().items():
                show(metrics.ARCHITECTURE, number, source=source, dimension=dimension)
        for name, value in {"exact": 90.0, "HasAns_exact": 88.0, "NoAns_exact": 92.0}.items():
            show(metrics.TEACHER_METRIC, value, metric=name)
        say(metrics.PREPARED, key="quadratic")
    say(metrics.OUTCOME, reason=str(wire.Reason.COMPLETED), message="")
    text = exposition.generate_latest(registry)  # type: ignore[no-untyped-call]
    return "".join(line for line in text.decode().splitlines(True) if not line.startswith("# HELP"))


class Kubelet:
    """Runs every pod of a control plane for about ``seconds``; use as an async context manager."""

    def __init__(
        self,
        kubeconfig: Path,
        seconds: float,
        ending: Callable[[Request], tuple[int, str]] = lambda request: (0, last_words(request)),
    ) -> None:
        """Play the kubelets.

        Args:
            kubeconfig: of the control plane.
            seconds: mean run time of a pod; each takes between half and one and a half of it.
            ending: exit code and termination message by request.
        """
        self._kubeconfig = kubeconfig
        self.seconds, self._ending = seconds, ending
        self.deliver: Callable[[Request, str], Awaitable[None]] | None = None
        """What a trainer does with its termination message before it ends, besides leaving it."""
        self._begun: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._faults: list[BaseException] = []
        self.started: dict[str, float] = {}
        self.ended: dict[str, float] = {}

    async def __aenter__(self) -> "Kubelet":
        self._session = connect(self._kubeconfig)
        self._spawn(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        tasks, faults = list(self._tasks), list(self._faults)
        # First, for it aborts connections; a request that is cancelled would take leave of its
        # server, and nobody would wait for that.
        await self._session.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if faults:  # a pod that never ends would look like a fault of the operator
            raise BaseExceptionGroup("the kubelets failed", faults)

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (fault := task.exception()):
            self._faults.append(fault)

    async def _watch(self) -> None:
        fields = "status.phase=Pending"
        async for event in events(self._session, "/api/v1/pods", SELECTOR, fields):
            if event["type"] in ("ADDED", "MODIFIED"):
                self._take(event["object"])

    def _take(self, pod: Object) -> None:
        uid = pod["metadata"]["uid"]
        if uid not in self._begun:
            self._begun.add(uid)
            (container,) = [c for c in pod["spec"]["containers"] if c["name"] == "trainer"]
            metadata = pod["metadata"]
            self._spawn(self._run(metadata["namespace"], metadata["name"], container))

    async def _run(self, namespace: str, name: str, container: Object) -> None:
        loop = asyncio.get_running_loop()
        path = f"/api/v1/namespaces/{namespace}/pods/{name}/status"
        (text,) = [e["value"] for e in container["env"] if e["name"] == wire.REQUEST]
        request, begun = Request.from_json(text.replace("$$", "$")), _timestamp()
        await self._patch(path, "Running", container["image"], {"running": {"startedAt": begun}})
        self.started[name] = loop.time()
        share = random.Random(text).uniform(0.5, 1.5)
        await asyncio.sleep(self.seconds * (share if request.stage is Stage.TRAIN else 0.1))
        code, message = self._ending(request)
        if self.deliver:
            await self.deliver(request, message)
        terminated = {"exitCode": code, "reason": "Completed" if code == 0 else "Error"}
        times = {"startedAt": begun, "finishedAt": _timestamp(), "message": message}
        state = {"terminated": {**terminated, **times}}
        await self._patch(path, "Failed" if code else "Succeeded", container["image"], state)
        self.ended[name] = loop.time()

    async def _patch(self, path: str, phase: str, image: str, state: Object) -> None:
        status = {
            "name": "trainer",
            "image": image,
            "imageID": "",
            "ready": False,
            "restartCount": 0,
        }
        body = {"status": {"phase": phase, "containerStatuses": [{**status, "state": state}]}}
        headers = {"Content-Type": "application/merge-patch+json", "Accept": BRIEF}
        for _ in range(100):  # the API server may be restarting
            try:
                async with self._session.patch(path, json=body, headers=headers) as answer:
                    if answer.status == HTTPStatus.NOT_FOUND:
                        return  # somebody has deleted the pod
                    if answer.status not in RETRIED and answer.status < 500:
                        answer.raise_for_status()
                        return
                    refused = f"{answer.status} {await answer.text()}"
            except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError) as error:
                refused = repr(error)
            await asyncio.sleep(0.2)
        raise TimeoutError(f"{path} could not be written: {refused}")


@contextmanager
def playing(kubelet: Kubelet) -> Iterator[None]:
    """Run the pods of a control plane for the length of a block."""
    stop = threading.Event()

    async def play() -> None:
        async with kubelet:
            await asyncio.to_thread(stop.wait)

    player = threading.Thread(target=asyncio.run, args=(play(),))
    player.start()
    try:
        yield
    finally:
        stop.set()
        player.join()


def _timestamp() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
