"""What the operator's process says of itself, and what the kernel says of it."""

import math
import os
import re
import shutil
import sys
import sysconfig
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from support.operators import Operator

SAMPLE_SECONDS = 10.0

ROOT = Path(__file__).parents[2]
SOURCES = ("operator/src", "trainer/contract/src")


def command() -> tuple[str, ...]:
    """Return what runs the operator: before others, in the system's Python if that is as new.

    A cluster's control plane has machines of its own, so that the operator does not wait for it; a
    user who may not go before others is told so, and waits. Debian compiles its Python, which is
    that of the image, with a profile; one that was compiled without is slower.
    """
    version = ".".join(map(str, sys.version_info[:2]))
    found = shutil.which(f"python{version}", path="/usr/bin")
    return "nice", "--adjustment=-10", found or sys.executable, "-m", "distillery_operator"


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
        self._before, self._spent = self._operator.metrics(), cpu_seconds(self._operator.pid)
        self._begun = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        self.seconds = time.monotonic() - self._begun
        self.cpu_seconds = cpu_seconds(self._operator.pid) - self._spent
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


def peak_mib(pid: int) -> float:
    """Return the most memory that a process had resident."""
    (kib,) = re.findall(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(kib) / 1024


def cpu_seconds(pid: int) -> float:
    """Return the processor time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _sum(samples: Mapping[str, float], prefix: str) -> float:
    return sum(value for name, value in samples.items() if name.startswith(prefix))
