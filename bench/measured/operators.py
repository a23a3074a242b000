"""Distillery's operator as benches run it, and what its process says of itself."""

import math
import os
import sysconfig
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from measured import commands, usage
from measured.setting import Bench
from support import definitions
from support.cluster import ControlPlane
from support.operators import Operator

SAMPLE_SECONDS = 10.0

ROOT = Path(__file__).parents[2]
SOURCES = ("operator/src", "trainer/contract/src")


def install(plane: ControlPlane) -> None:
    """Make experiments known to a cluster."""
    definitions.apply_files(plane, [ROOT / "manifests" / "crd.yaml"])


def operator(bench: Bench) -> Operator:
    """Return an operator of a cluster, to be started."""
    return Operator(
        bench.plane.kubeconfig,
        bench.server.url(),
        bench.plane.folder / "operator.log",
        "--workspace-claim=workspace",
        command=(*commands.FIRST, commands.python(), "-m", "distillery_operator"),
        environment=environment(),
    )


def environment() -> dict[str, str]:
    """Return the image's settings, and where that Python finds what is installed here."""
    places = [sysconfig.get_path("purelib"), *(str(ROOT / source) for source in SOURCES)]
    return {"PYTHONPATH": os.pathsep.join(places), "OMP_NUM_THREADS": "1"}


class Probe:
    """Samples an operator for the length of a block: metrics, memory, processor time."""

    def __init__(self, operator: Operator) -> None:
        self._operator, self._end = operator, threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self.lag_seconds = 0.0
        self.cpu_seconds = 0.0
        self.seconds = 0.0

    def __enter__(self) -> Self:
        self._before, self._spent = (
            self._operator.metrics(),
            usage.cpu_seconds(self._operator.pid),
        )
        self._begun = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        self.seconds = time.monotonic() - self._begun
        self.cpu_seconds = usage.cpu_seconds(self._operator.pid) - self._spent
        self._after = self._operator.metrics()

    def added(self, prefix: str) -> float:
        """Return by how much the samples whose names begin so have grown."""
        return _sum(self._after, prefix) - _sum(self._before, prefix)

    def each(self, prefix: str) -> dict[str, float]:
        """Return by how much each of these samples has grown, if it has."""
        grown = {k: v - self._before.get(k, 0.0) for k, v in self._after.items()}
        return {k: v for k, v in grown.items() if k.startswith(prefix) and v}

    def slowest(self, histogram: str) -> float:
        """Return the bound of a histogram's buckets below which everything that was added lies."""
        prefix = f'{histogram}_bucket{{le="'
        added = {
            float(name.removeprefix(prefix).removesuffix('"}')): value - self._before[name]
            for name, value in self._after.items()
            if name.startswith(prefix)
        }
        return min(bound for bound, count in added.items() if count == added[math.inf])

    def _sample(self) -> None:
        while not self._end.wait(SAMPLE_SECONDS):  # the gauge is the worst of ten seconds
            lag = self._operator.metrics()["distillery_event_loop_lag_seconds{}"]
            self.lag_seconds = max(self.lag_seconds, lag)


def _sum(samples: Mapping[str, float], prefix: str) -> float:
    return sum(value for name, value in samples.items() if name.startswith(prefix))
