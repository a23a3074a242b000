"""The operator as a process of its own, as tests and benches start, kill and ask it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from support.cluster.access import Cluster

LOOPBACK = ("127.0.0.1", "[::1]") if socket.has_dualstack_ipv6() else ("127.0.0.1",)
"""By which a server of this machine is reached, which must listen everywhere."""
COMMAND = (sys.executable, "-m", "distillery_operator")

LOGS: set[Path] = set()
"""Of every operator that this process has started; see `support.logs`."""


class Operator:
    """An operator of a cluster; use as a context manager, or start and kill it."""

    def __init__(
        self,
        kubeconfig: Path,
        database: str,
        log: Path,
        *options: str,
        image: str = "localhost/trainer:none",
        command: Sequence[str] = COMMAND,
        environment: dict[str, str] | None = None,
    ) -> None:
        """Describe the process.

        Args:
            kubeconfig: of the cluster.
            database: URL of the studies' database.
            log: file that its output is added to.
            options: further options of ``distillery operator``.
            image: of the trials.
            command: that runs ``distillery``.
            environment: variables besides this process's own.
        """
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None
        self.port, self.health, self.trials = free_port(), free_port(), free_port()
        self._command = [
            *command,
            "operator",
            f"--trainer-image={image}",
            f"--metrics-port={self.port}",
            f"--health-port={self.health}",
            f"--trials-port={self.trials}",
            *options,
        ]
        self._environment = {
            **os.environ,
            "KUBECONFIG": str(kubeconfig),
            "DISTILLERY_DATABASE_URL": database,
            **(environment or {}),
        }

    def set_environment(self, name: str, value: str) -> None:
        """Set a variable of the next process."""
        self._environment[name] = value

    def start(self) -> None:
        """Start the process."""
        LOGS.add(self.log)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdout=log, stderr=subprocess.STDOUT
            )

    def stop(self, number: int = signal.SIGTERM) -> int | None:
        """Send a signal and wait for the end; return the exit code."""
        if self._process is None:
            return None
        if self._process.poll() is None:
            self._process.send_signal(number)
        return self._process.wait(30)

    @property
    def pid(self) -> int:
        """Return the process's id."""
        assert self._process is not None
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Return the exit code; None while it runs."""
        return self._process.poll() if self._process else None

    @property
    def serving(self) -> bool:
        """Tell whether ``/metrics`` answers."""
        return answers(self.port)

    def metrics(self) -> dict[str, float]:
        """Return the samples of ``/metrics`` as ``name{label="value"}`` to value."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
        found = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                labels = ",".join(f'{k}="{v}"' for k, v in sorted(sample.labels.items()))
                found[f"{sample.name}{{{labels}}}"] = sample.value
        return found

    def __enter__(self) -> "Operator":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(signal.SIGKILL)


def expose(cluster: Cluster, port: int) -> None:
    """Lead the Service of ``manifests/operator.yaml`` to an operator that runs beside a cluster.

    The API server passes on to pods only, so there is one that has this machine's address.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing: it only chooses the address to send from
        address = probe.getsockname()[0]
    place = ["--namespace=distillery"]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "operator-beside", "namespace": "distillery"},
        "spec": {
            "nodeSelector": {"kubernetes.io/hostname": "beside"},  # no kubelet has a say in it
            "containers": [{"name": "operator", "image": "none"}],
        },
    }
    cluster.kubectl("apply", "--filename=-", stdin=json.dumps(pod))
    status = json.dumps({"status": {"podIP": address, "podIPs": [{"ip": address}]}})
    merge = ["--type=merge", "--patch"]
    cluster.kubectl(
        *place, "patch", "pod", "operator-beside", "--subresource=status", *merge, status
    )
    unselecting = json.dumps({"spec": {"selector": None}})
    cluster.kubectl(*place, "patch", "service", "distillery", *merge, unselecting)
    target = {"kind": "Pod", "name": "operator-beside", "namespace": "distillery"}
    subset = {
        "addresses": [{"ip": address, "targetRef": target}],
        "ports": [{"name": "trials", "port": port}],
    }
    endpoints = {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": "distillery", "namespace": "distillery"},
        "subsets": [subset],
    }
    cluster.kubectl("apply", "--filename=-", stdin=json.dumps(endpoints))


def until(condition: Callable[[], Any], seconds: float = 180.0, what: str = "") -> Any:
    """Wait for something true and return it."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what or condition}"
        time.sleep(0.25)  # each look may start a kubectl
    return found


def patiently(condition: Callable[[], Any]) -> Any:
    """Wait as `until` does, ten minutes at most: for what takes a real node minutes."""
    return until(condition, 600.0)


def answers(port: int) -> bool:
    """Tell whether somebody listens on a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
