"""What the quick trainer has written down of each step that it did."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from support.spaces import Space

Step = tuple[int, int]
"""An attempt, and the number of a step that it did."""


def results(space: Space, name: str = "tiny") -> str:
    """Return the folder of an experiment's results, as a path in its workspace."""
    return f"experiments/{name}-{space.get(name)['metadata']['uid'][:8]}"


def steps(workspace: Path, space: Space, name: str = "tiny") -> Mapping[int, Sequence[Step]]:
    """Return the steps of each trial of an experiment, in the order in which they were done."""
    found = (workspace / results(space, name) / "trials").glob("*/ledger")
    return {int(ledger.parent.name): _read(ledger) for ledger in found}


def repeated(workspace: Path, space: Space, name: str = "tiny") -> int:
    """Return how many steps were done twice."""
    known = steps(workspace, space, name).values()
    return sum(len(done) - len({step for _, step in done}) for done in known)


def _read(ledger: Path) -> Sequence[Step]:
    lines = (line.split() for line in ledger.read_text().splitlines())
    return [(int(attempt), int(step)) for attempt, _, step in lines]
