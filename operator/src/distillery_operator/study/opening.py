"""EDGE: the study of an experiment: found in its place, or created there."""

from collections.abc import Mapping, Sequence

from optuna.study import StudyDirection
from sqlalchemy import Connection, insert, select

from distillery_operator.internals.of_optuna import STUDIES, STUDY_ATTRIBUTES, STUDY_DIRECTIONS
from distillery_operator.study import migration, schema, specs, statements
from distillery_operator.study.place import Place

Attributes = Mapping[str, object]


def opened(
    place: Place, name: str, directions: Sequence[StudyDirection], attributes: Attributes
) -> int:
    """Return the key of the study of this name, which is created with these attributes if missing.

    Tables of an earlier release are brought to this one first.
    """
    with place.transaction() as connection:
        older = _prepare(place, connection)
        if not older:
            known = select(STUDIES.c.study_id).where(STUDIES.c.study_name == name)
            study: int | None = connection.execute(known).scalar()
            if study is None:
                study = _create(place, connection, name, directions, attributes)
            if migration.outdated(connection, study):
                migration.settle(place, connection, study)
            return study
    migration.migrate(place)
    return opened(place, name, directions, attributes)


def find(place: Place, name: str | None) -> tuple[int, dict[str, str]] | None:
    """Find the study of this name, or the only one that Distillery made.

    Returns:
        Its key, and its attributes as JSON.
    """
    if not place.there:
        return None
    attributes = select(
        STUDIES.c.study_id, STUDY_ATTRIBUTES.c.key, STUDY_ATTRIBUTES.c.value_json
    ).join(STUDY_ATTRIBUTES, isouter=True)
    if name is not None:
        attributes = attributes.where(STUDIES.c.study_name == name)
    with place.transaction() as connection:
        there = schema.version(connection) is not None
        found = connection.execute(attributes).all() if there else []
    ours = {row.study_id for row in found if name is not None or row.key == specs.SPACE}
    if len(ours) != 1:
        return None
    (study,) = ours
    return study, {key: value for i, key, value in found if i == study and key is not None}


def _prepare(place: Place, connection: Connection) -> bool:
    """See to it that the tables are there and can be used; tell whether they are too old."""
    found = schema.version(connection)
    if found is None:
        schema.make(connection, place.schema)
    elif schema.older(found):
        return True
    elif found != schema.current() and (fault := schema.obstacle(connection, found)):
        raise place.unavailable(f"{fault}; use the release that wrote there last")
    return False


def _create(
    place: Place,
    connection: Connection,
    name: str,
    directions: Sequence[StudyDirection],
    attributes: Attributes,
) -> int:
    created = insert(STUDIES).values(study_name=name).returning(STUDIES.c.study_id)
    made: int = connection.execute(created).scalar_one()
    rows = [
        {"study_id": made, "objective": n, "direction": direction}
        for n, direction in enumerate(directions)
    ]
    connection.execute(insert(STUDY_DIRECTIONS), rows)
    place.put(connection, STUDY_ATTRIBUTES, statements.attributes("study_id", made, attributes))
    return made
