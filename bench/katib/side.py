"""What is measured of either side."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Spent:
    """What a side has spent since it began.

    Attributes:
        cpu_seconds: of each process.
        api_calls: requests to the API server that were answered.
    """

    cpu_seconds: Mapping[str, float]
    api_calls: float

    def since(self, before: "Spent") -> "Spent":
        """Return what was spent after an earlier moment."""
        seconds = {k: v - before.cpu_seconds[k] for k, v in self.cpu_seconds.items()}
        return Spent(seconds, self.api_calls - before.api_calls)


class Side(Protocol):
    """A program that runs searches on a control plane."""

    async def create(self, name: str, parallelism: int) -> None:
        """Begin a search that does not end while it is watched."""

    def spent(self) -> Spent:
        """Return what it has spent until now."""

    def memory_mib(self) -> Mapping[str, float]:
        """Return the most memory that each process had resident, in MiB."""
