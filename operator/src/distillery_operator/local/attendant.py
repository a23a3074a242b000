"""The shell that runs a trainer, and the signals that its process group gets. The runner calls it.

The trainer ends as it would in a container: what it has started is killed when it ends itself, and
what does not end when asked is killed after a grace.
"""

import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

GRACE_SECONDS: Final = 120.0
"""Time that a trainer has to write its checkpoint, as on a cluster."""

OOM_COUNTER: Final = "/proc/vmstat"
"""Where Linux counts what it has killed for lack of memory: a line ``oom_kill COUNT``."""

ATTEND: Final = """\
trap : TERM INT
echo $$ > pid.part && mv pid.part pid
count() {
  [ -r "$OOM_COUNTER" ] || return
  while read -r name number; do
    if [ "$name" = oom_kill ]; then echo "$number"; fi
  done < "$OOM_COUNTER"
}
before=$(count)
(cd "$WORKSPACE" && exec "$@") > log.txt 2>&1
code=$?
if [ $code = 137 ] && [ "$before" != "$(count)" ]; then touch oom; fi
echo $code > exit.part && mv exit.part exit
kill -KILL 0
"""
"""Runs a trainer and writes down its exit code, even if nobody waits any more; says whether the
kernel killed it for lack of memory; and kills whatever the trainer has left behind."""


def command(trainer: Sequence[str]) -> list[str]:
    """Return the command line that runs a trainer, in the folder of its attempt."""
    return ["sh", "-c", ATTEND, "sh", *trainer]


def environment() -> Mapping[str, str]:
    """Return the variables that the shell reads."""
    return {"OOM_COUNTER": OOM_COUNTER}


def exists(pid: int) -> bool:
    """Tell whether something of a process group is there."""
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    return True


def ask_to_end(pid: int) -> None:
    """Ask a process group to end; the shell stays to write down how."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGTERM)


def kill(pid: int) -> None:
    """Kill a process group at once, the shell included: nobody writes down how it ended."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
