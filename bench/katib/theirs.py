"""Katib's side: its controller, its DB manager, and a suggestion service for each search.

In its favour: the services' names are looked up in a file, their pods are ready at once, and no
sidecar reads the pods' output.
"""

import asyncio
import contextlib
import urllib.request
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from katib import apart, environment, push, resources
from katib.side import Side, Spent
from measured import commands, usage
from measured.setting import Bench
from support import certificates, kubelet, programs
from support.cluster import processes
from support.cluster.processes import Process

PORT: Final = 6789
MANAGER: Final = f"127.0.7.1:{PORT}"
METRICS: Final = "http://127.0.0.1:8080/metrics"
READY: Final = "http://127.0.0.1:18080/readyz"
MOST_SEARCHES: Final = 250
"""Each has a service, with an address of its own."""

USER: Final = "katib"
"""And its password: Katib writes it into its connection string as it is, so it is a plain one."""

COMMAND: Final = (*commands.FIRST, "env", "GOGC=100")
"""With the garbage collector as Go has it, whatever other programs of a control plane are given."""


@dataclass
class Katib:
    """Katib's processes; see :class:`katib.side.Side`."""

    bench: Bench
    controller: Process
    manager: Process
    suggestions: Sequence[Process]

    async def create(self, name: str, parallelism: int) -> None:
        """Create an Experiment."""
        document = resources.experiment(name, parallelism)
        await self.bench.create(resources.EXPERIMENTS, document)

    def spent(self) -> Spent:
        """Return processor times, and the controller's own count of requests."""
        return Spent(self._sums(usage.cpu_seconds), _api_calls())

    def memory_mib(self) -> Mapping[str, float]:
        """Return the controller's, the DB manager's, and the sum of all suggestion services."""
        return self._sums(usage.peak_mib)

    def _sums(self, of: Callable[[int], float]) -> Mapping[str, float]:
        return {
            "controller": of(self.controller.pid),
            "db_manager": of(self.manager.pid),
            "suggestions": sum(of(process.pid) for process in self.suggestions),
        }


@asynccontextmanager
async def running(bench: Bench, searches: Sequence[str], *, suggestion: str) -> AsyncIterator[Side]:
    """Run Katib on a fresh control plane for the length of a block.

    Args:
        bench: where.
        searches: names of all searches that will be created.
        suggestion: the service that suggests, hyperopt or goptuna.
    """
    folder = bench.plane.folder / "katib"
    (folder / "cert").mkdir(parents=True)
    certificates.make(folder / "cert", "tls", "katib", "-addext", "subjectAltName=IP:127.0.0.1")
    manifests = environment.sources() / "manifests" / "v1beta1"
    config = resources.install(bench.plane, manifests)
    places = {name: f"127.0.6.{number}" for number, name in enumerate(searches, 1)}
    (folder / "hosts").write_text(_hosts(places))
    with ExitStack() as stack:
        manager = _manager(stack, bench, folder)
        suggestions = [
            _start(stack, folder, name, *_service(suggestion, f"{place}:{PORT}"))
            for name, place in places.items()
        ]
        controller = _controller(stack, bench, folder, config)
        resources.enable_webhooks(bench.plane, manifests, folder / "cert" / "tls.crt")
        async with push.reporting(MANAGER) as reporter:
            bench.kubelet.deliver = reporter.deliver
            await _defaulted(bench.session)
            making = asyncio.create_task(_make_available(bench.session))
            yield Katib(bench, controller, manager, suggestions)
            bench.kubelet.deliver = None  # pods that still run have nobody to report to
            making.cancel()


def _hosts(places: Mapping[str, str]) -> str:
    manager, _, _ = MANAGER.partition(":")
    names = {f"katib-db-manager.{resources.NAMESPACE}": manager, "localhost": "127.0.0.1"}
    names |= {f"{name}-{resources.ALGORITHM}.default": place for name, place in places.items()}
    return "".join(f"{place} {name}\n" for name, place in names.items())


def _start(stack: ExitStack, folder: Path, name: str, *command: str) -> Process:
    process = processes.start([*COMMAND, *command], folder / f"{name}.log")
    stack.callback(processes.stop, process)
    return process


def _service(suggestion: str, address: str) -> list[str]:
    if suggestion == "goptuna":
        return [*programs.locate("katib-goptuna"), address]
    return environment.command("suggest.py", address)


def _manager(stack: ExitStack, bench: Bench, folder: Path) -> Process:
    bench.server.execute(f"CREATE ROLE {USER} LOGIN PASSWORD '{USER}'")
    bench.server.execute(f"CREATE DATABASE {USER} OWNER {USER}")
    variables = {
        "DB_NAME": "postgres",
        "DB_USER": USER,
        "DB_PASSWORD": USER,
        "KATIB_POSTGRESQL_DB_HOST": "127.0.0.1",
        "KATIB_POSTGRESQL_DB_PORT": str(bench.server.port),
        "KATIB_POSTGRESQL_DB_DATABASE": USER,
    }
    given = [f"{name}={value}" for name, value in variables.items()]
    (program,) = programs.locate("katib-db-manager")
    name = "db-manager"
    process = _start(stack, folder, name, "env", *given, program, f"--listen-address={MANAGER}")
    log = folder / f"{name}.log"
    processes.until(lambda: "Start Katib manager" in log.read_text(), name, process, log)
    return process


def _controller(stack: ExitStack, bench: Bench, folder: Path, config: Path) -> Process:
    (program,) = programs.locate("katib-controller")
    given = ["env", f"KUBECONFIG={bench.plane.kubeconfig}"]
    given.append(f"KATIB_CORE_NAMESPACE={resources.NAMESPACE}")
    command = apart.with_files(folder, program, f"--katib-config={config}")
    name = "controller"
    process = _start(stack, folder, name, *given, *command)
    processes.until(_ready, f"Katib's {name}", process, folder / f"{name}.log")
    return process


def _ready() -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(READY, timeout=1) as answer:
        return bool(answer.status == 200)
    return False


def _api_calls() -> float:
    with urllib.request.urlopen(METRICS, timeout=5) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    return sum(
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == "rest_client_requests_total"
    )


async def _defaulted(session: aiohttp.ClientSession) -> None:
    """Wait until the API server asks the webhooks."""
    document, query = resources.experiment("nothing", 1), {"dryRun": "All"}
    while True:
        async with session.post(resources.EXPERIMENTS, json=document, params=query) as answer:
            made = await answer.json()
            assert answer.status == 201, made
            if "resumePolicy" in made["spec"]:
                return
        await asyncio.sleep(0.1)


async def _make_available(session: aiohttp.ClientSession) -> None:
    """Tell of each search's Deployment that it is available: its service runs already."""
    condition = {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"}
    status = {"conditions": [condition], "replicas": 1, "readyReplicas": 1}
    merge = {"Content-Type": "application/merge-patch+json"}
    done: set[str] = set()
    async for event in kubelet.events(session, "/apis/apps/v1/deployments", ""):
        made = event["object"]["metadata"]
        if made["uid"] not in done:
            done.add(made["uid"])
            path = f"/apis/apps/v1/namespaces/{made['namespace']}/deployments/{made['name']}/status"
            async with session.patch(path, json={"status": status}, headers=merge) as answer:
                assert answer.status == 200, await answer.text()


hyperopt = partial(running, suggestion="hyperopt")
goptuna = partial(running, suggestion="goptuna")
