"""EDGE: all studies of a database, as far as it matters to whoever removes what nobody needs.

A study is first marked as one that is being removed: this fails where anybody has written since it
was looked at, and afterwards nobody opens it. Only then its files may go, and last its tables.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from distillery_operator.errors import DatabaseUnavailable
from distillery_operator.study import contents, records, specs
from distillery_operator.study.database import Database
from distillery_operator.study.place import Place
from distillery_operator.study.tables import Storage
from distillery_operator.trials.trial import State


@dataclass(frozen=True)
class Found:
    """One study.

    Attributes:
        uid: that it is named by.
        key: of its place.
        storage: its tables, as they were read.
        resource: the experiment that it belongs to, as it was last seen; None where no release has
            stored that.
        prepared: key of its prepared data; None if nothing was prepared.
        failed: trials that have failed and may have left checkpoints.
        collected: trials whose files are gone.
        there: whether there is a study; without one its place is empty.
        fault: why it could not be read; empty if it could.
    """

    uid: str
    key: str
    storage: Storage
    resource: dict[str, Any] | None = None
    prepared: str | None = None
    failed: tuple[int, ...] = ()
    collected: tuple[int, ...] = ()
    there: bool = False
    fault: str = ""

    def withdraw(self) -> None:
        """Let nobody open it any more; it may be asked again.

        Raises:
            InUse: somebody has written to it since it was looked at.
        """
        if self.there:
            self.storage.set_attribute(records.REMOVED, True)

    def collect(self, numbers: Sequence[int]) -> None:
        """Store that files of trials are gone; raises as :meth:`withdraw`."""
        self.storage.set_attribute("collected", sorted({*self.collected, *numbers}))


def look(database: Database) -> Iterator[Found]:
    """Read each study of a database; one that cannot be read keeps no other from it."""
    for uid, place in database.named_places():
        try:
            yield _read(uid, place)
        except (DatabaseUnavailable, ValueError) as error:
            yield Found(uid, place.key, Storage(place), fault=str(error))


def sole_key(database: Database, key: str) -> str | None:
    """Return the key of the prepared data that one study has and no other; None if there is none.

    Where a study, or the database, cannot be read, any other may have the key.
    """
    keys: dict[str, str | None] = {}
    try:
        for _, place in database.named_places():
            with closing(place):
                attributes = Storage(place).find() or {}
            keys[place.key] = json.loads(attributes.get("preparation", "{}")).get("key")
    except DatabaseUnavailable:
        return None
    own = keys.pop(key, None)
    return None if own in keys.values() else own


def _read(uid: str, place: Place) -> Found:
    storage = Storage(place)
    if storage.find() is None:
        return Found(uid, place.key, storage)
    stored = storage.read()
    held = contents.of(stored.attributes, stored.rows.own)
    failed = (t for t in held.trials if t.state is State.FAILED and t.seconds and not t.collected)
    return Found(
        uid,
        place.key,
        storage,
        stored.attributes.get(specs.RESOURCE),
        held.preparation.key if held.preparation else None,
        tuple(trial.number for trial in failed),
        tuple(sorted(held.collected)),
        there=True,
    )
