"""Processes that end with the one that started them, even when that is killed."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent import futures
from pathlib import Path

from support.cluster.errors import NotReady
from support.programs import debian

Process = subprocess.Popen[bytes]

# The kernel sends the signal of setpriv when the *thread* that started a process ends: so one
# thread, that lives as long as this process, starts them all.
_STARTER = futures.ThreadPoolExecutor(1, thread_name_prefix="cluster")


def start(command: Sequence[str], log: Path) -> Process:
    """Start a process that the kernel kills when this one ends; in its log's folder.

    It has a process group of its own, so that Ctrl-C reaches only the process that started it.
    """
    with log.open("ab") as output:
        return _STARTER.submit(
            subprocess.Popen,
            ["setpriv", "--pdeathsig", "KILL", "--", *command],
            cwd=log.parent,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            process_group=0,
        ).result()


def environment() -> dict[str, str]:
    """Return this process's environment, with a PATH that leads to all packages' programs.

    Kubernetes and etcd are written in Go: memory for processor time, of which tests have less.
    """
    return {"GOGC": "400", **os.environ, "PATH": debian.search_path()}


def stop(process: Process, sign: signal.Signals = signal.SIGKILL, seconds: float = 60) -> None:
    """Signal a process and wait until it has ended; after so many seconds kill it."""
    process.send_signal(sign)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def signal_inner(process: Process, sign: signal.Signals) -> None:
    """Signal what a process runs within a node's namespaces: ``nsenter`` waits for its child.

    That one stops when its child does, and lets its child continue when it does so itself.
    """
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="utf-8")
    for child in children.split():
        os.kill(int(child), sign)
    if sign is signal.SIGCONT:
        process.send_signal(sign)


def until(ready: Callable[[], bool], what: str, process: Process, log: Path) -> None:
    """Wait until something is ready, as long as its process lives and at most two minutes."""
    deadline = time.monotonic() + 120
    while not ready():
        ended = process.poll()
        if ended is not None or time.monotonic() > deadline:
            why = "took too long" if ended is None else f"ended with {ended}"
            tail = log.read_text(encoding="utf-8", errors="replace")[-2000:]
            raise NotReady(f"{what} must get ready, but {why}: {tail}")
        time.sleep(0.05)
