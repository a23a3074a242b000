"""What tests of an experiment's end, and of backups, share: a control plane with a database."""

import json
from collections.abc import Mapping
from math import exp
from typing import Any

import psycopg
import pytest

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


def check(space: Space, url: str, count: int) -> None:
    """See to it that each trial was told once, and what its own suggestion measures."""
    found = rows(
        url,
        f"SELECT s.value_json, e.value_json FROM {schema(space)}.trial_user_attributes s"
        f" JOIN {schema(space)}.trial_user_attributes e USING (trial_id)"
        " WHERE s.key = 'suggestion' AND e.key = 'ending'",
    )
    assert len(found) == count
    for suggestion, ending in found:
        parameters = json.loads(suggestion)["parameters"]
        fit = exp(-abs(parameters["learning_rate"] - 0.2)) * (0.5 + parameters["n_layers"] / 12)
        measured = json.loads(ending)["metrics"]["HasAns_exact"]
        assert measured == pytest.approx(90 * fit)


def visited(operator: Operator) -> float:
    """Return how many visits an operator has made."""
    series: Mapping[str, float] = operator.metrics()
    return sum(v for n, v in series.items() if n.startswith("distillery_reconcile_total"))
