"""EDGE: Optuna's tables of one experiment, in PostgreSQL or SQLite.

Called by :mod:`distillery_operator.study.study`. Optuna makes the tables and can read all that is
written here, so that its own tools see the study. Its storage, however, takes eight commits and
dozens of statements to store a suggestion, and keeps a copy of every trial; here each change is one
transaction of a few statements.

One process writes. A change that finds the tables otherwise than it left them stops, so that a
second writer is noticed and nothing is told twice.
"""

import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from optuna.distributions import distribution_to_json
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import (
    Connection,
    Engine,
    Executable,
    Table,
    UniqueConstraint,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from distillery_operator.errors import DatabaseUnavailable, InUse
from distillery_operator.internals import of_optuna
from distillery_operator.internals.of_optuna import (
    ATTRIBUTES,
    PARAMETERS,
    STUDIES,
    STUDY_ATTRIBUTES,
    STUDY_DIRECTIONS,
    SYSTEM_ATTRIBUTES,
    TRIALS,
    VALUES,
)
from distillery_operator.study import schema

BUSY_SECONDS: Final = 60.0
"""How long SQLite waits for another process, such as a report that reads."""


class Storage:
    """The tables of one experiment. Every method blocks; :meth:`open` and :meth:`read` come first.

    Attributes:
        key: what tells this place from others of the same process.
    """

    def __init__(self, engine: Engine, schema: str | None) -> None:
        self._engine, self._schema = engine, schema
        self._study = 0
        self._ids: list[int] = []
        self.key = schema or str(engine.url.database)

    def open(
        self, name: str, directions: Sequence[StudyDirection], attributes: Mapping[str, object]
    ) -> None:
        """Find the study of this name, or create it with these attributes."""
        with self._transaction() as connection:
            self._prepare(connection)
            known = select(STUDIES.c.study_id).where(STUDIES.c.study_name == name)
            found = connection.execute(known).scalar()
            if found is None:
                created = insert(STUDIES).values(study_name=name).returning(STUDIES.c.study_id)
                found = connection.execute(created).scalar_one()
                rows = [
                    {"study_id": found, "objective": n, "direction": direction}
                    for n, direction in enumerate(directions)
                ]
                connection.execute(insert(STUDY_DIRECTIONS), rows)
                self._put(connection, STUDY_ATTRIBUTES, _attributes("study_id", found, attributes))
        self._study = found

    def read(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Return the attributes of the study, and those of each trial in the order of numbers."""
        of_study = select(STUDY_ATTRIBUTES.c.key, STUDY_ATTRIBUTES.c.value_json).where(
            STUDY_ATTRIBUTES.c.study_id == self._study
        )
        of_trials = (
            select(TRIALS.c.trial_id, ATTRIBUTES.c.key, ATTRIBUTES.c.value_json)
            .join(ATTRIBUTES, isouter=True)
            .where(TRIALS.c.study_id == self._study)
            .order_by(TRIALS.c.trial_id)
        )
        trials: dict[int, dict[str, Any]] = {}
        with self._transaction() as connection:
            study = {key: json.loads(value) for key, value in connection.execute(of_study)}
            for identifier, key, value in connection.execute(of_trials):
                trials.setdefault(identifier, {})[key] = json.loads(value)
        self._ids = list(trials)
        return study, list(trials.values())

    def find(self, name: str | None = None) -> dict[str, str] | None:
        """Find the study of this name, or the only one; return its attributes as JSON, or None.

        Creates nothing, and need not be preceded by :meth:`open`.
        """
        if self._schema is None and not Path(self.key).exists():  # to connect would make the file
            return None
        attributes = select(
            STUDIES.c.study_id, STUDY_ATTRIBUTES.c.key, STUDY_ATTRIBUTES.c.value_json
        ).join(STUDY_ATTRIBUTES, isouter=True)
        if name is not None:
            attributes = attributes.where(STUDIES.c.study_name == name)
        with self._transaction() as connection:
            there = schema.version(connection) is not None
            rows = connection.execute(attributes).all() if there else []
        if len({row.study_id for row in rows}) != 1:
            return None
        self._study = rows[0].study_id
        return {key: value for _, key, value in rows if key is not None}

    def page(self, after: int, count: int) -> list[tuple[int, dict[str, str]]]:
        """Return the next trials: their identifiers, and their attributes as JSON.

        Args:
            after: identifier of the trial before, 0 for the first page.
            count: trials at most; a page with fewer is the last.
        """
        numbered = (
            select(TRIALS.c.trial_id)
            .where(TRIALS.c.study_id == self._study, TRIALS.c.trial_id > after)
            .order_by(TRIALS.c.trial_id)
            .limit(count)
            .subquery()
        )
        attributes = (
            select(numbered.c.trial_id, ATTRIBUTES.c.key, ATTRIBUTES.c.value_json)
            .join(ATTRIBUTES, ATTRIBUTES.c.trial_id == numbered.c.trial_id, isouter=True)
            .order_by(numbered.c.trial_id)
        )
        trials: dict[int, dict[str, str]] = {}
        with self._transaction() as connection:
            for identifier, key, value in connection.execute(attributes):
                trials.setdefault(identifier, {})[key] = value
        return list(trials.items())

    def set_attribute(self, key: str, value: object) -> None:
        """Store an attribute of the study."""
        with self._transaction() as connection:
            rows = _attributes("study_id", self._study, {key: value})
            self._put(connection, STUDY_ATTRIBUTES, rows)

    def add(self, trial: FrozenTrial, now: float) -> None:
        """Store a further trial, which runs."""
        number = select(func.count()).where(TRIALS.c.study_id == self._study).scalar_subquery()
        added = (
            insert(TRIALS)
            .values(
                study_id=self._study, state=trial.state, datetime_start=_utc(now), number=number
            )
            .returning(TRIALS.c.trial_id, TRIALS.c.number)
        )
        lock = select(STUDIES.c.study_id).where(STUDIES.c.study_id == self._study).with_for_update()
        with self._transaction() as connection:
            connection.execute(lock)
            row = connection.execute(added).one()
            self._expect(row.number == len(self._ids))
            self._put(connection, PARAMETERS, _parameters(row.trial_id, trial))
            self._put(
                connection, ATTRIBUTES, _attributes("trial_id", row.trial_id, trial.user_attrs)
            )
        self._ids.append(row.trial_id)

    def set_trial_attribute(self, number: int, key: str, value: object) -> None:
        """Store an attribute of a trial."""
        with self._transaction() as connection:
            rows = _attributes("trial_id", self._ids[number], {key: value})
            self._put(connection, ATTRIBUTES, rows)

    def finish(self, number: int, trial: FrozenTrial, now: float) -> None:
        """Store how a trial, which runs, has ended: state, values, constraints and attributes."""
        identifier = self._ids[number]
        ended = (
            update(TRIALS)
            .where(TRIALS.c.trial_id == identifier, TRIALS.c.state == TrialState.RUNNING)
            .values(state=trial.state, datetime_complete=_utc(now))
        )
        with self._transaction() as connection:
            self._expect(connection.execute(ended).rowcount == 1)
            self._put(connection, VALUES, _values(identifier, trial))
            for table, attributes in (
                (ATTRIBUTES, trial.user_attrs),
                (SYSTEM_ATTRIBUTES, trial.system_attrs),
            ):
                self._put(connection, table, _attributes("trial_id", identifier, attributes))

    def close(self) -> None:
        """Give back a connection that is this storage's own."""
        if self._schema is None:
            self._engine.dispose()

    def _prepare(self, connection: Connection) -> None:
        """See to it that the tables are there, and are those of this Optuna."""
        found = schema.version(connection)
        if found is None:
            schema.make(connection, self._schema)
        elif found != schema.current():
            raise self._unavailable(
                f"its tables must be of version {schema.current()}, but are of version {found};"
                " `optuna storage upgrade` brings older ones there"
            )

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        """Do all of a block or nothing of it."""
        try:
            with self._engine.begin() as connection:
                if self._schema is not None:
                    connection.execute(schema.SEARCH_PATH, {"schema": self._schema})
                yield connection
        except DBAPIError as error:
            raise self._unavailable(str(error.orig)) from error

    def _put(self, connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows; one that is there already gets the new values."""
        if not rows:
            return
        connection.execute(_upsert(table, self._schema is not None, tuple(rows[0])), rows)

    def _expect(self, untouched: bool) -> None:
        if not untouched:
            raise InUse(f"another process writes to the study in {self.key} as well")

    def _unavailable(self, words: str) -> DatabaseUnavailable:
        return unavailable(self._engine.url, words)


def unavailable(url: URL, words: str) -> DatabaseUnavailable:
    """Return the error of a database, its password hidden."""
    place = url.set(query={}).render_as_string(hide_password=True)
    line = " ".join(words.split())
    return DatabaseUnavailable(f"the database {place} cannot be used: {line}")


@functools.cache  # to build it takes longer than to execute it
def _upsert(table: Table, server: bool, columns: tuple[str, ...]) -> Executable:
    """Return what inserts rows of these columns, or gives those that are there the new values."""
    unique = next(c for c in table.constraints if isinstance(c, UniqueConstraint))
    keys = [column.name for column in unique.columns]
    statement = postgresql.insert(table) if server else sqlite.insert(table)
    new = {name: statement.excluded[name] for name in columns if name not in keys}
    return statement.on_conflict_do_update(index_elements=keys, set_=new)


def _utc(seconds: float) -> datetime:
    """Return a moment as Optuna's tables hold it."""
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)


def _attributes(owner: str, identifier: int, values: Mapping[str, object]) -> list[dict[str, Any]]:
    return [{owner: identifier, "key": k, "value_json": json.dumps(v)} for k, v in values.items()]


def _parameters(identifier: int, trial: FrozenTrial) -> list[dict[str, Any]]:
    return [
        {
            "trial_id": identifier,
            "param_name": name,
            "param_value": distribution.to_internal_repr(trial.params[name]),
            "distribution_json": distribution_to_json(distribution),
        }
        for name, distribution in trial.distributions.items()
    ]


def _values(identifier: int, trial: FrozenTrial) -> list[dict[str, Any]]:
    return [
        {"trial_id": identifier, "objective": objective, **of_optuna.stored(value)}
        for objective, value in enumerate(trial.values or ())
    ]
