"""EDGE: Optuna's tables of one experiment, in PostgreSQL or SQLite.

Called by :mod:`distillery_operator.study.blocking`. Optuna makes the tables and can read all that
is written here, so that its own tools see the study. Its storage, however, takes eight commits and
dozens of statements to store a suggestion, and keeps a copy of every trial; here each change is one
transaction of a few statements.

One process writes. Each change leaves a mark in the study; a change that finds another mark than
its own last one stops, so that a second writer is noticed and nothing is told twice. The mark and
counts of the trials also tell whoever reads whether to read again.
"""

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import (
    Connection,
    delete,
    func,
    insert,
    select,
    update,
)

from distillery_operator.errors import DatabaseUnavailable, InUse
from distillery_operator.internals.of_optuna import (
    ATTRIBUTES,
    FIXED_PARAMETERS,
    PARAMETERS,
    STUDIES,
    STUDY_ATTRIBUTES,
    SYSTEM_ATTRIBUTES,
    TRIALS,
    VALUES,
)
from distillery_operator.study import opening, reading, records, removal, rows, specs, statements
from distillery_operator.study.place import Place
from distillery_operator.study.rows import Row, Rows


class Seen(NamedTuple):
    """What changes whenever anybody writes: the mark, and for Optuna's own tools the trials."""

    mark: str | None
    trials: int = 0
    last: int = 0
    waiting: int = 0
    running: int = 0


@dataclass(frozen=True)
class Stored:
    """Everything that is stored: the attributes of the study, and the rows of its trials."""

    attributes: dict[str, Any]
    rows: Rows


class Storage:
    """The tables of one experiment. Every method blocks; :meth:`open` and :meth:`read` come first.

    Attributes:
        key: what tells this place from others of the same process.
    """

    def __init__(self, place: Place, whose: tuple[str, str] | None = None) -> None:
        self._place, self._whose = place, whose
        self._study = 0
        self._own: list[tuple[int, str]] = []  # row and state of each trial
        self._seen = Seen(None)
        self.key = place.key

    def only_of(self, namespace: str, name: str) -> Self:
        """Return the same place, in which nothing is found but what this experiment made."""
        return type(self)(self._place, (namespace, name))

    def open(
        self, name: str, directions: Sequence[StudyDirection], attributes: Mapping[str, object]
    ) -> None:
        """Find the study of this name, or create it with these attributes."""
        self._study = opening.opened(self._place, name, directions, attributes)

    def read(self, shares: Sequence[float] | None = None) -> Stored:
        """Return the attributes of the study, and its trials.

        Args:
            shares: of rungs, as :func:`distillery_operator.study.reading.trials` takes them.

        Raises:
            DatabaseUnavailable: trials are missing or are there twice, too.
        """
        with self._place.transaction() as connection:
            # First: what is written from here on is noticed later.
            seen = self._look(connection)
            found = connection.execute(statements.of_study(self._study))
            study = {key: json.loads(value) for key, value in found}
            waits = seen.waiting > 0
            trials = reading.trials(self._place, connection, self._study, shares, enqueued=waits)
        self._seen, self._own = seen, [(row.id, row.state) for row in trials.own]
        return Stored(study, trials)

    def changed(self) -> bool:
        """Tell whether somebody else has written since this process read or wrote."""
        with self._place.transaction() as connection:
            return self._look(connection) != self._seen

    def find(self, name: str | None = None) -> dict[str, str] | None:
        """Find the study of this name, or the only one; return its attributes as JSON, or None.

        Creates nothing, and need not be preceded by :meth:`open`.
        """
        found = opening.find(self._place, name)
        if found is None:
            return None
        study, attributes = found
        if self._whose is not None:
            owner = json.loads(attributes.get(specs.RESOURCE, "{}"))
            if (owner.get("namespace"), owner.get("name")) != self._whose:
                return None
        self._study = study
        return attributes

    def page(self, first: int, count: int) -> list[dict[str, str]]:
        """Return the attributes of trials as JSON, in the order of their numbers.

        Args:
            first: number of the first of them.
            count: trials at most; a page with fewer is the last.
        """
        with self._place.transaction() as connection:
            if first == 0:
                numbered = reading.trials(self._place, connection, self._study, numbers=True)
                self._own = [(row.id, row.state) for row in numbered.own]
            found: dict[int, dict[str, str]] = {i: {} for i, _ in self._own[first : first + count]}
            attributes = select(ATTRIBUTES.c.trial_id, ATTRIBUTES.c.key, ATTRIBUTES.c.value_json)
            wanted = attributes.where(ATTRIBUTES.c.trial_id.in_(found))
            for identifier, key, value in connection.execute(wanted):
                found[identifier][key] = value
        return list(found.values())

    def trial_attribute(self, number: int, key: str) -> Any:
        """Return an attribute of a trial; None if it has none of this name."""
        wanted = select(ATTRIBUTES.c.value_json).where(
            ATTRIBUTES.c.trial_id == self._own[number][0], ATTRIBUTES.c.key == key
        )
        with self._place.transaction() as connection:
            found = connection.execute(wanted).scalar_one_or_none()
        return None if found is None else json.loads(found)

    def set_attribute(self, key: str, value: object) -> None:
        """Store an attribute of the study."""
        with self._change() as connection:
            made = statements.attributes("study_id", self._study, {key: value})
            self._place.put(connection, STUDY_ATTRIBUTES, made)

    def add(self, trial: FrozenTrial, now: float) -> None:
        """Store a further trial, which runs."""
        place = select(func.count()).where(TRIALS.c.study_id == self._study).scalar_subquery()
        added = (
            insert(TRIALS)
            .values(
                study_id=self._study,
                state=trial.state,
                datetime_start=statements.utc(now),
                number=place,
            )
            .returning(TRIALS.c.trial_id, TRIALS.c.number)
        )
        # Optuna's own processes add a trial under this lock, too.
        lock = select(STUDIES.c.study_id).where(STUDIES.c.study_id == self._study).with_for_update()
        with self._change() as connection:
            connection.execute(lock)
            row = connection.execute(added).one()
            if row.number != self._seen.trials:  # the first release left no mark, but suggestions
                later = connection.execute(statements.suggested(self._study, self._seen.last))
                self._expect(later.scalar_one() == 0)
            self._describe(connection, row.trial_id, trial)
        self._own.append((row.trial_id, rows.RUNNING))
        _, trials, last, waiting, running = self._seen
        self._seen = self._seen._replace(
            trials=trials + 1, last=max(last, row.trial_id), waiting=waiting, running=running + 1
        )

    def suggested(self) -> dict[str, Mapping[str, Any]]:
        """Return the points that were enqueued under names, by these, whatever became of them."""
        with self._place.transaction() as connection:
            found = connection.execute(statements.named(self._study)).all()
        return {json.loads(name): json.loads(fixed) for name, fixed in found}

    def enqueue(self, name: str, fixed: Mapping[str, object]) -> None:
        """Add a trial that waits, as Optuna's own tools do: also while another process writes."""
        place = select(func.count()).where(TRIALS.c.study_id == self._study).scalar_subquery()
        added = insert(TRIALS).values(study_id=self._study, state=TrialState.WAITING, number=place)
        lock = select(STUDIES.c.study_id).where(STUDIES.c.study_id == self._study).with_for_update()
        with self._place.transaction() as connection:
            connection.execute(lock)
            row = connection.execute(added.returning(TRIALS.c.trial_id)).scalar_one()
            for table, found in (
                (SYSTEM_ATTRIBUTES, {FIXED_PARAMETERS: dict(fixed)}),
                (ATTRIBUTES, {records.BY_HAND: name}),
            ):
                self._place.put(connection, table, statements.attributes("trial_id", row, found))

    def take(self, row: Row, trial: FrozenTrial, now: float) -> None:
        """Store a further trial, which runs, in the row of one that was enqueued."""
        taken = (
            update(TRIALS)
            .where(TRIALS.c.trial_id == row.id, TRIALS.c.state == TrialState.WAITING)
            .values(state=trial.state, datetime_start=statements.utc(now))
        )
        with self._change() as connection:
            self._expect(connection.execute(taken).rowcount == 1)
            self._describe(connection, row.id, trial)
        self._own.append((row.id, rows.RUNNING))
        seen = self._seen
        self._seen = seen._replace(waiting=seen.waiting - 1, running=seen.running + 1)

    def set_trial_attribute(self, number: int, key: str, value: object) -> None:
        """Store an attribute of a trial."""
        self.set_trial_attributes(key, {number: value})

    def set_trial_attributes(self, key: str, values: Mapping[int, object]) -> None:
        """Store an attribute of several trials, given by their numbers."""
        made = []
        for number, value in values.items():
            made += statements.attributes("trial_id", self._own[number][0], {key: value})
        with self._change() as connection:
            self._place.put(connection, ATTRIBUTES, made)

    def finish(self, number: int, trial: FrozenTrial, now: float) -> None:
        """Store how a trial has ended: state, values, constraints and attributes.

        What another tool has stored as its ending goes.
        """
        identifier, state = self._own[number]
        ended = (
            update(TRIALS)
            .where(TRIALS.c.trial_id == identifier, TRIALS.c.state == TrialState[state])
            .values(state=trial.state, datetime_complete=statements.utc(now))
        )
        with self._change() as connection:
            self._expect(connection.execute(ended).rowcount == 1)
            if state != rows.RUNNING:
                connection.execute(delete(VALUES).where(VALUES.c.trial_id == identifier))
            self._place.put(connection, VALUES, statements.values(identifier, trial))
            for table, found in (
                (ATTRIBUTES, trial.user_attrs),
                (SYSTEM_ATTRIBUTES, trial.system_attrs),
            ):
                self._place.put(
                    connection, table, statements.attributes("trial_id", identifier, found)
                )
        self._own[number] = (identifier, trial.state.name)
        if state == rows.RUNNING:
            self._seen = self._seen._replace(running=self._seen.running - 1)

    def has_run(self) -> bool:
        """Tell whether anything was prepared or suggested, so that there may be files of it."""
        found = self.find()
        return found is not None and ("preparation" in found or bool(self.page(0, 1)))

    def remove(self) -> None:
        """Remove everything that is stored, unless another experiment made it."""
        if self._whose is None or self.find() is not None:
            removal.remove(self._place)

    def close(self) -> None:
        """Give back a connection that is this storage's own."""
        self._place.close()

    def unavailable(self, words: str) -> DatabaseUnavailable:
        """Return the error of what is stored here."""
        return self._place.unavailable(words)

    def _describe(self, connection: Connection, identifier: int, trial: FrozenTrial) -> None:
        """Store parameters and attributes of the next trial in its row."""
        record = rows.record(records.VERSION, len(self._own), identifier)
        attributes = {**trial.user_attrs, rows.RECORD: record}
        self._place.put(connection, PARAMETERS, statements.parameters(identifier, trial))
        self._place.put(
            connection, ATTRIBUTES, statements.attributes("trial_id", identifier, attributes)
        )

    def _look(self, connection: Connection) -> Seen:
        return Seen(*connection.execute(statements.seen(self._study)).one())

    @contextmanager
    def _change(self) -> Iterator[Connection]:
        """Do all of a block or nothing of it; stop if somebody else has changed the study."""
        mark = json.dumps(secrets.token_hex(8))
        with self._place.transaction() as connection:
            server = self._place.schema is not None
            marked = statements.marked(self._study, self._seen.mark, mark, server)
            self._expect(connection.execute(marked).first() is not None)
            yield connection
        self._seen = self._seen._replace(mark=mark)

    def _expect(self, untouched: bool) -> None:
        if not untouched:
            raise InUse(f"another process writes to the study in {self.key} as well")
