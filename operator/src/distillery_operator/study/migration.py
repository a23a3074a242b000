"""EDGE: tables and records of earlier releases, brought to this one.

``distillery migrate`` does so for every experiment of a database, before an operator of this
release starts; an experiment that was left out is brought up where it is opened.
"""

import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, func, select

from distillery_operator.errors import DatabaseUnavailable
from distillery_operator.internals import of_optuna
from distillery_operator.internals.of_optuna import ATTRIBUTES, STUDY_ATTRIBUTES
from distillery_operator.study import (
    curves,
    reading,
    records,
    rows,
    schema,
    specs,
    statements,
)
from distillery_operator.study.place import Place

PATIENCE: Final = select(
    func.set_config("lock_timeout", "600s", True),
    func.set_config("statement_timeout", "0", True),
    func.set_config("idle_in_transaction_session_timeout", "0", True),
)
"""How long one migration waits for another of the same tables, and that it may last."""


@dataclass(frozen=True)
class Outcome:
    """What became of one place: what was done, in words, or why it could not be."""

    key: str
    done: list[str] = field(default_factory=list)
    fault: str = ""


def every(places: Iterable[Place]) -> Iterator[Outcome]:
    """Bring place after place to this release; one that fails keeps no other from it."""
    for place in places:
        try:
            yield Outcome(place.key, migrate(place))
        except DatabaseUnavailable as error:
            yield Outcome(place.key, fault=str(error))
        finally:
            place.close()


def migrate(place: Place) -> list[str]:
    """Bring the tables and the records of a place to this release; return what was done.

    Done again it does nothing.

    Raises:
        DatabaseUnavailable: it cannot be done, with the database's words.
    """
    with _alone(place) as connection:
        found = schema.version(connection)
        if found is None:
            return []
        done = []
        if schema.older(found):
            of_optuna.upgrade_tables(connection)
            done.append(f"tables of version {found} are of version {schema.current()} now")
        given = sum(settle(place, connection, study) for study in _ours(connection))
        if given:
            done.append(f"{given} trials have records now")
        read = sum(_give_readings(place, connection, study) for study in _ours(connection))
        if read:
            done.append(f"{read} trials have readings of their curves now")
        return done


def outdated(connection: Connection, study: int) -> bool:
    """Tell whether only earlier releases wrote to a study."""
    found = connection.execute(statements.of_study(study))
    known = {row.key: row.value_json for row in found}
    return records.outdated(json.loads(known.get(records.FORMAT, "null")))


def settle(place: Place, connection: Connection, study: int) -> int:
    """Let a study say that this release writes to it, and give each trial without a record one.

    Return how many got one.
    """
    if outdated(connection, study):
        said = statements.attributes("study_id", study, {records.FORMAT: records.THIS_FORMAT})
        place.put(connection, STUDY_ATTRIBUTES, said)
    made = []
    for number, row in enumerate(reading.trials(place, connection, study, numbers=True).own):
        if rows.RECORD not in row.attributes:
            record = {rows.RECORD: rows.record(1, number, row.id)}
            made += statements.attributes("trial_id", row.id, record)
    place.put(connection, ATTRIBUTES, made)
    return len(made)


def _give_readings(place: Place, connection: Connection, study: int) -> int:
    """Store what early stopping looks at of each curve that has ended; return of how many.

    Not of a search on one machine, whose spec is nowhere in the study: it does that itself.
    """
    known = {row.key: row.value_json for row in connection.execute(statements.of_study(study))}
    if specs.RESOURCE not in known:
        return 0
    shares = specs.rungs_of(json.loads(known[specs.RESOURCE]))
    own = reading.trials(place, connection, study, shares).own
    made = []
    for row in filter(lambda row: curves.unread(row.attributes), own):
        found = curves.readings_of(row.attributes[curves.CURVE], shares)
        made += statements.attributes("trial_id", row.id, {curves.READINGS: found})
    place.put(connection, ATTRIBUTES, made)
    return len(made)


def _ours(connection: Connection) -> list[int]:
    """Return the keys of the studies that Distillery made; a tool may have made others."""
    ours = select(STUDY_ATTRIBUTES.c.study_id).where(STUDY_ATTRIBUTES.c.key == specs.SPACE)
    return list(connection.execute(ours).scalars())


@contextmanager
def _alone(place: Place) -> Iterator[Connection]:
    """Do a block in one transaction, which other migrations of the same tables wait for."""
    if place.schema is None:
        folder = os.open(Path(place.key).absolute().parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            with place.transaction() as connection:
                yield connection
        finally:
            os.close(folder)
        return
    with place.transaction() as connection:
        connection.execute(PATIENCE)
        key = func.hashtextextended(f"distillery {place.schema}", 0)
        connection.execute(select(func.pg_advisory_xact_lock(key)))
        yield connection
