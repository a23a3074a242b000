"""EDGE: the trials of a study, read from Optuna's tables."""

import json
import sys
from collections.abc import Callable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import Connection

from distillery_operator.study import rows, statements
from distillery_operator.study.place import Place
from distillery_operator.study.rows import Row, Rows

AT_ONCE: Final = 200
"""Attributes that are fetched at once: those of all trials would not fit into memory."""

Reduce = Callable[[dict[str, Any]], dict[str, Any]]


def trials(
    place: Place,
    connection: Connection,
    study: int,
    reduce: Reduce = lambda whole: whole,
    *,
    enqueued: bool = False,
    numbers: bool = False,
) -> Rows:
    """Read the trials of a study.

    Args:
        place: where the tables are.
        connection: to them.
        study: its key.
        reduce: leaves out of the attributes of a trial what is not wanted.
        enqueued: whether there are some that were enqueued, whose parameters are read then.
        numbers: whether to read of each trial nothing but what tells its number.

    Raises:
        DatabaseUnavailable: trials of the experiment's own are missing or are there twice.
    """
    queue = connection.execute(statements.enqueued(study)) if enqueued else ()
    fixed = {identifier: json.loads(value) for identifier, value in queue}

    def read() -> Iterator[Row]:
        some = {"yield_per": AT_ONCE}
        found = connection.execute(statements.of_trials(study, numbers), execution_options=some)
        for (identifier, number, state), stored in groupby(found, itemgetter(0, 1, 2)):
            named = {key: json.loads(value) for *_, key, value in stored if key is not None}
            kept = _shared(reduce(named))
            yield Row(identifier, number, state.name, kept, fixed.get(identifier))

    try:
        return rows.sort(read())
    except ValueError as error:
        raise place.unavailable(str(error)) from error


def _shared(stored: Any) -> Any:
    """Return the same with each word in memory once: names are half of what trials take."""
    if isinstance(stored, str):
        return sys.intern(stored)
    if isinstance(stored, dict):
        return {sys.intern(name): _shared(value) for name, value in stored.items()}
    return [_shared(value) for value in stored] if isinstance(stored, list) else stored
