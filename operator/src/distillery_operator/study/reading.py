"""EDGE: the trials of a study, read from Optuna's tables."""

import json
from typing import Any

from sqlalchemy import Connection

from distillery_operator.study import rows, statements
from distillery_operator.study.place import Place
from distillery_operator.study.rows import Row, Rows


def trials(
    place: Place,
    connection: Connection,
    study: int,
    *,
    enqueued: bool = False,
    numbers: bool = False,
) -> Rows:
    """Read the trials of a study.

    Args:
        place: where the tables are.
        connection: to them.
        study: its key.
        enqueued: whether there are some that were enqueued, whose parameters are read then.
        numbers: whether to read of each trial nothing but what tells its number.

    Raises:
        DatabaseUnavailable: trials of the experiment's own are missing or are there twice.
    """
    found: dict[int, tuple[int, str, dict[str, Any]]] = {}
    for identifier, number, state, key, value in connection.execute(
        statements.of_trials(study, numbers)
    ):
        *_, attributes = found.setdefault(identifier, (number, state.name, {}))
        if key is not None:
            attributes[key] = json.loads(value)
    queue = connection.execute(statements.enqueued(study)) if enqueued else ()
    fixed = {identifier: json.loads(value) for identifier, value in queue}
    try:
        return rows.sort(Row(i, *rest, fixed.get(i)) for i, rest in found.items())
    except ValueError as error:
        raise place.unavailable(str(error)) from error
