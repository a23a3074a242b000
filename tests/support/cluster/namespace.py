"""What a node's processes live in: their own view of processes, mounts and network.

The kernel ends whatever runs in it, unmounts whatever is mounted and removes every link, address
and rule, as soon as its first process ends; and that one ends with the process that started it.
So nothing outlives a node, even when all is killed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from support.cluster import processes, static
from support.cluster.errors import NotReady
from support.programs import Missing

PAUSE = (Path(__file__).parent / "pause.c").read_text(encoding="utf-8")

# Containerd, kubelet and CNI write below /run, /var/log and /var/lib whatever they are told, and
# the kubelet sets some of the kernel's settings: here they do it to copies that end with the node.
SETUP = """
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/log
mkdir /run/upper /run/work /run/settings
mount -t overlay -o lowerdir=/var/lib,upperdir=/run/upper,workdir=/run/work overlay /var/lib
for name in kernel/keys/root_maxbytes kernel/keys/root_maxkeys kernel/panic kernel/panic_on_oops \
    vm/overcommit_memory vm/panic_on_oom
do
    copy=/run/settings/$(basename $name)
    cat /proc/sys/$name > $copy
    mount --bind $copy /proc/sys/$name
done
exec "$1"
"""


UNSHARE = ("unshare", "--pid", "--mount", "--net", "--fork", "--kill-child", "--mount-proc")


def check() -> None:
    """Raise why namespaces cannot be made here."""
    if os.geteuid() != 0:
        raise Missing(f"only root can start a node, but this is user {os.geteuid()}")
    rule = "a node must have namespaces of its own"
    try:
        done = subprocess.run([*UNSHARE, "true"], capture_output=True, text=True, check=False)
    except OSError as error:
        raise Missing(f"{rule}, but: {error}") from error
    if done.returncode != 0:
        raise Missing(f"{rule}, but: {done.stderr.strip()}")


@contextlib.contextmanager
def made(log: Path) -> Iterator[int]:
    """Make namespaces, give their first process's number, and end them."""
    pause = str(static.compiled("pause", PAUSE))
    keeper = processes.start([*UNSHARE, "sh", "-e", "-c", SETUP, "sh", pause], log)
    try:
        processes.until(lambda: _first(keeper, pause) is not None, "namespaces", keeper, log)
        first = _first(keeper, pause)
        assert first is not None
        try:
            yield first
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(first, signal.SIGKILL)
            keeper.wait()  # for the first process, which the kernel lets end last
    finally:
        processes.stop(keeper)


def within(first: int, *command: str) -> list[str]:
    """Return the command that runs a command inside, and ends it when it is itself ended."""
    enter = ["nsenter", f"--target={first}", "--pid", "--mount", "--net"]
    return [*enter, "setpriv", "--pdeathsig", "KILL", "--", *command]


def run(first: int, *command: str, stdin: str | None = None) -> None:
    """Run a command inside to its end; raise what it says when it fails."""
    done = subprocess.run(
        within(first, *command),
        input=stdin,
        env=processes.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise NotReady(f"{' '.join(command)} must succeed, but: {done.stderr.strip()}")


def show(first: int, folder: Path, place: str) -> None:
    """Let a folder of this machine be seen inside at a place of /run too."""
    run(first, "mkdir", place)
    run(first, "mount", "--bind", str(folder), place)


def _first(keeper: processes.Process, program: str) -> int | None:
    """Return the number of unshare's only child, once that has become the program."""
    with contextlib.suppress(OSError):
        for child in Path(f"/proc/{keeper.pid}/task/{keeper.pid}/children").read_text().split():
            if os.readlink(f"/proc/{child}/exe") == os.path.realpath(program):
                return int(child)
    return None
