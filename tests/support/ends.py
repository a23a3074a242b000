"""What tests of an experiment's end, and of backups, share: a control plane with a database."""

from collections.abc import Mapping
from typing import Any

import psycopg

from distillery_contract.request import Request, Stage
from distillery_operator.resource.experiment import STUDY
from support import kubelet
from support.operators import Operator
from support.spaces import Space


class Removed:
    """What the Jobs of a control plane were asked to remove."""

    def __init__(self) -> None:
        self.folders: list[str] = []

    def ending(self, request: Request) -> tuple[int, str]:
        """Note it, and end well."""
        if request.stage is Stage.COLLECT:
            self.folders += request.remove
        return 0, kubelet.last_words(request)


def rows(url: str, text: str) -> list[tuple[Any, ...]]:
    """Return what a database answers."""
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(text.encode())
        return cursor.fetchall() if cursor.description else []


def schemas(url: str) -> set[str]:
    """Return the schemas of experiments in a database."""
    text = "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'exp\\_%'"
    return {name for (name,) in rows(url, text)}


def schema(space: Space, name: str = "tiny") -> str:
    """Return the schema that an experiment names."""
    named: str = space.get(name)["metadata"]["annotations"][STUDY]
    return f"exp_{named.replace('-', '')}"


def visited(operator: Operator) -> float:
    """Return how many visits an operator has made."""
    series: Mapping[str, float] = operator.metrics()
    return sum(v for n, v in series.items() if n.startswith("distillery_reconcile_total"))
