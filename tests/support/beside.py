"""An operator that works beside a node: its trials are pods of the quick trainer."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from support.cluster import Node
from support.cluster.images import Image
from support.operators import Operator
from support.spaces import Object, Space, install

SCRAPE: Final = "--scrape-seconds=0.5"

ALONE: Final = {"type": "None", "collapse": False}
"""Of early stopping: every trial runs to its end."""


def good(*layers: int) -> list[Object]:
    """Return baselines as good as their experiment asks for, whatever would be suggested."""
    return [
        {"name": f"good-{n}", "parameters": {"learning_rate": 0.2, "n_layers": n}} for n in layers
    ]


@contextmanager
def working(
    node: Node, folder: Path, database: str, image: Image, *options: str
) -> Iterator[Operator]:
    """Let an operator work; it must neither end by itself nor meet a fault of its program.

    Args:
        node: whose cluster it works for.
        folder: for its log and its kubeconfig.
        database: URL of the studies' database.
        image: of the trials.
        options: further options of ``distillery operator``.
    """
    kubeconfig = install(node.plane, folder)
    node.load(image.archive)
    log = folder / "log"
    with Operator(kubeconfig, database, log, SCRAPE, *options, image=image.name) as operator:
        yield operator
        assert operator.exit_code is None, log.read_text()
        assert "fault of the program" not in log.read_text()


@contextmanager
def lent(node: Node) -> Iterator[Space]:
    """Lend a namespace of a node's cluster, and end its experiments."""
    space = Space(node.plane)
    yield space
    space.kubectl("delete", "dexp", "--all", "--ignore-not-found", "--timeout=120s")
