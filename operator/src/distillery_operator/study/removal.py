"""EDGE: studies that are removed, tables and all."""

from pathlib import Path

from sqlalchemy.schema import DropSchema

from distillery_operator.study.place import Place


def remove(place: Place) -> None:
    """Remove everything of a place; one that is gone needs nothing.

    Raises:
        DatabaseUnavailable: it cannot be done, with the database's words.
    """
    if place.schema is not None:
        with place.transaction() as connection:
            connection.execute(DropSchema(place.schema, cascade=True, if_exists=True))
        return
    place.close()
    for suffix in ("", "-wal", "-shm"):
        Path(f"{place.key}{suffix}").unlink(missing_ok=True)
