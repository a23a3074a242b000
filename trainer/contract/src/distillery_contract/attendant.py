"""Runs a trainer on one machine and writes down how it ended, even if nobody waits any more.

The trainer ends as it would in a container: what it has started is killed when it ends itself. The
folder of the attempt gets ``pid`` (of the process group), ``log.txt``, ``exit`` (the exit code as a
shell gives it), and ``oom`` if the kernel killed the trainer for lack of memory.

The operator runs this file as a program, ``attendant.py COUNTER WORKSPACE COMMAND...``, which
imports next to nothing; :mod:`distillery_contract.forks` calls it in each fork.
"""

import os
import signal
import sys
from typing import Final

OOM_COUNTER: Final = "/proc/vmstat"
"""Where Linux counts what it has killed for lack of memory: a line ``oom_kill COUNT``."""


def attend(workspace: str, counter: str = OOM_COUNTER) -> None:
    """Fork, as the leader of a process group, in the folder of an attempt.

    The child returns, and is to be the trainer: in the workspace, with its output in the log. The
    parent never returns. It hears no signal that asks the group to end: it has the last word.
    """
    heard = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, heard)
    put("pid", os.getpid())
    before = _killed(counter)
    trainer = os.fork()
    if trainer == 0:
        log = os.open("log.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        os.dup2(log, 1), os.dup2(log, 2)
        os.close(log)
        os.chdir(workspace)
        for number in heard:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, heard)
        return
    code = os.waitstatus_to_exitcode(os.waitpid(trainer, 0)[1])
    if code == -signal.SIGKILL and before != _killed(counter):
        put("oom", "")
    put("exit", 128 - code if code < 0 else code)
    os.killpg(0, signal.SIGKILL)


def _killed(counter: str) -> str:
    """Return the count of what the kernel has killed for lack of memory; empty if it keeps none."""
    try:
        with open(counter, encoding="ascii") as lines:
            return next((line for line in lines if line.startswith("oom_kill ")), "")
    except OSError:
        return ""


def put(name: str, value: object, folder: str = ".") -> None:
    """Write a file of an attempt's folder, which is there whole or not at all."""
    place = f"{folder}/{name}"
    with open(f"{place}.part", "w", encoding="ascii") as part:
        part.write(f"{value}\n")
    os.rename(f"{place}.part", place)


if __name__ == "__main__":
    attend(sys.argv[2], sys.argv[1])
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # which Python ignores
        signal.signal(number, signal.SIG_DFL)
    os.execvp(sys.argv[3], sys.argv[3:])
