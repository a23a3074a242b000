"""The numbers that tell nodes on one machine apart: each has a subnet and a control group."""

import contextlib
import dataclasses
import fcntl
from collections.abc import Iterator
from pathlib import Path

from support.cluster.errors import NotReady

LOCKS = Path("/run")
COUNT = 16


@dataclasses.dataclass(frozen=True)
class Slot:
    """One node's share of this machine."""

    number: int

    @property
    def name(self) -> str:
        """The name of the node's link to this machine, and of its control group."""
        return f"distillery{self.number}"

    @property
    def host(self) -> str:
        """This machine's address in the node's subnet."""
        return f"10.88.{self.number}.1"

    @property
    def node(self) -> str:
        """The node's address."""
        return f"10.88.{self.number}.2"

    @property
    def subnet(self) -> str:
        """The addresses of this machine, the node and its pods."""
        return f"10.88.{self.number}.0/24"

    @property
    def pods(self) -> tuple[str, str]:
        """The first and the last address for pods."""
        return f"10.88.{self.number}.10", f"10.88.{self.number}.250"


@contextlib.contextmanager
def taken() -> Iterator[Slot]:
    """Hold a slot that no other node on this machine has."""
    for number in range(COUNT):
        slot = Slot(number)
        with (LOCKS / f"{slot.name}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield slot
            return
    raise NotReady(f"at most {COUNT} nodes can run on a machine, and all of them do")
