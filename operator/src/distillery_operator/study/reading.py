"""EDGE: the trials of a study, read from Optuna's tables."""

import json
import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import Connection

from distillery_operator.study import curves, rows, statements
from distillery_operator.study.place import Place
from distillery_operator.study.rows import Row, Rows

AT_ONCE: Final = 200
"""Attributes that are fetched at once: those of all trials would not fit into memory."""


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON, each word in memory once: names are half of what trials take."""
    return {
        sys.intern(name): sys.intern(value) if type(value) is str else value
        for name, value in pairs
    }


SHARING: Final = json.JSONDecoder(object_pairs_hook=_object)


def trials(
    place: Place,
    connection: Connection,
    study: int,
    shares: Sequence[float] | None = None,
    *,
    enqueued: bool = False,
    numbers: bool = False,
) -> Rows:
    """Read the trials of a study.

    Args:
        place: where the tables are.
        connection: to them.
        study: its key.
        shares: of rungs; of the curves of trials that have ended only the points are read that
            early stopping looks at there. None for whole curves.
        enqueued: whether there are some that were enqueued, whose parameters are read then.
        numbers: whether to read of each trial nothing but what tells its number.

    Raises:
        DatabaseUnavailable: trials of the experiment's own are missing or are there twice.
    """
    queue = connection.execute(statements.enqueued(study)) if enqueued else ()
    fixed = {identifier: json.loads(value) for identifier, value in queue}
    beginning = None if shares is None else curves.beginning(shares)

    def read() -> Iterator[Row]:
        some = {"yield_per": AT_ONCE}
        wanted = statements.of_trials(study, numbers, beginning)
        with connection.execute(wanted, execution_options=some) as found:
            for (identifier, number, state), stored in groupby(found, itemgetter(0, 1, 2)):
                named = {
                    sys.intern(key): SHARING.decode(value)
                    for *_, key, value in stored
                    if key is not None
                }
                kept = named if shares is None else curves.lean(named, shares)
                yield Row(identifier, number, state.name, kept, fixed.get(identifier))

    try:
        return rows.sort(read())
    except ValueError as error:
        raise place.unavailable(str(error)) from error
