"""PURE: which rows of the study's trials are this experiment's own, and what the others are.

Optuna's own tools may write to the same study: they enqueue trials, add results, copy trials from
elsewhere. Optuna counts all rows; the experiment counts its own, for its trials must be numbered 0,
1, 2, … without a gap. So each row of its own has a record that names its number, and the row: a
copy names another row, and is foreign.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

RECORD: Final = "record"
"""Attribute of each trial of the experiment's own."""

SUGGESTION: Final = "suggestion"
"""Attribute of each trial of the experiment's own; those of the first release have no record."""

WAITING: Final = "WAITING"
RUNNING: Final = "RUNNING"


@dataclass(frozen=True)
class Row:
    """One row of the table of trials.

    Attributes:
        id: its key.
        place: how many rows of the study stand before it, which is Optuna's number of a trial.
        state: as Optuna names it.
        attributes: what is stored with it.
        fixed: parameters that it was enqueued with; None where it was not enqueued.
    """

    id: int
    place: int
    state: str
    attributes: Mapping[str, Any] = field(default_factory=dict)
    fixed: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Rows:
    """The rows of a study: its own by their numbers, those that were enqueued, and the others."""

    own: list[Row] = field(default_factory=list)
    enqueued: list[Row] = field(default_factory=list)
    foreign: list[Row] = field(default_factory=list)


def record(version: int, number: int, row: int) -> dict[str, int]:
    """Return the record of a trial: the version of what is stored with it, its number, its row."""
    return {"version": version, "number": number, "row": row}


def sort(rows: Iterable[Row]) -> Rows:
    """Tell rows apart, given in the order of their keys.

    Raises:
        ValueError: trials of the experiment's own are missing or are there twice.
    """
    own: dict[int, Row] = {}
    found = Rows()
    for row in rows:
        number = _number(row, len(own))
        if number is not None:
            if number in own:
                raise ValueError(f"each trial must be stored once, but trial {number} is twice")
            own[number] = row
        elif row.state == WAITING and row.fixed is not None:
            found.enqueued.append(row)
        else:
            found.foreign.append(row)
    missing = [number for number in range(len(own)) if number not in own]
    if missing:
        raise ValueError(
            f"trials must be numbered 0 to {max(own)} without a gap, but {missing[0]} is missing"
        )
    found.own.extend(own[number] for number in sorted(own))
    return found


def _number(row: Row, before: int) -> int | None:
    """Return the number of a row of the experiment's own; None if it is none.

    The first release wrote no records and knew no rows but its own: its number is the row's place.
    """
    stored = row.attributes.get(RECORD)
    if isinstance(stored, Mapping):
        return stored["number"] if stored.get("row") == row.id else None
    suggestion = row.attributes.get(SUGGESTION)
    first = isinstance(suggestion, Mapping) and "parameters" in suggestion
    return before if first and row.place == before else None
