"""What is leaned on of Optuna beyond its documentation.

Optuna's own storage takes eight commits and dozens of statements to store a suggestion, and keeps a
copy of every trial; ``study`` reads and writes the same tables by statements of its own, so that
Optuna's tools can read them. For that it has to know the tables, which Optuna keeps to itself.
"""

from pathlib import Path
from typing import Any, Final

import optuna
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from optuna.samplers import NSGAIISampler
from optuna.storages._rdb import models
from optuna.study._frozen import FrozenStudy as FrozenStudy
from sqlalchemy import Column, Connection, MetaData, String, Table, insert, update

STUDIES: Final[Table] = models.StudyModel.__table__
STUDY_DIRECTIONS: Final[Table] = models.StudyDirectionModel.__table__
STUDY_ATTRIBUTES: Final[Table] = models.StudyUserAttributeModel.__table__
TRIALS: Final[Table] = models.TrialModel.__table__
PARAMETERS: Final[Table] = models.TrialParamModel.__table__
VALUES: Final[Table] = models.TrialValueModel.__table__
ATTRIBUTES: Final[Table] = models.TrialUserAttributeModel.__table__
SYSTEM_ATTRIBUTES: Final[Table] = models.TrialSystemAttributeModel.__table__
TABLES: Final = (
    STUDIES,
    STUDY_DIRECTIONS,
    STUDY_ATTRIBUTES,
    TRIALS,
    PARAMETERS,
    VALUES,
    ATTRIBUTES,
    SYSTEM_ATTRIBUTES,
)
"""Optuna's tables that are read or written; their columns are asked for by name."""

VERSION: Final = Table(
    "alembic_version", MetaData(), Column("version_num", String(32), primary_key=True)
)
"""Where Optuna's migrations keep the version of the tables. Alembic makes this table; there is no
model of it."""

GENERATION: Final = NSGAIISampler._get_generation_key()
"""System attribute by which NSGA-II knows a trial's generation: Optuna numbers a trial when it is
suggested, and here a generation follows from the trials alone."""

METRIC_NAMES: Final = "study:metric_names"
"""System attribute by which Optuna and its dashboard know the objectives' names. A storage that
only reads has no other way to tell them."""

CONSTRAINTS: Final = "constraints"
"""System attribute of trials that the dashboard reads constraints from; Optuna 5 writes
``constraints:`` and a name for each."""

FIXED_PARAMETERS: Final = "fixed_params"
"""System attribute of a trial that ``Study.enqueue_trial`` stored: the parameters it was given. The
public way to read them is to run the trial by Optuna."""


def make_tables(connection: Connection, version: str) -> None:
    """Make Optuna's tables, as of a version, without a storage of Optuna's for each experiment."""
    models.BaseModel.metadata.create_all(connection)
    VERSION.create(connection, checkfirst=True)
    release = {"schema_version": models.SCHEMA_VERSION, "library_version": optuna.__version__}
    connection.execute(insert(models.VersionInfoModel).values(release))
    connection.execute(insert(VERSION).values(version_num=version))


def upgrade_tables(connection: Connection) -> None:
    """Bring Optuna's tables of an earlier version to its own, in the transaction of a connection.

    ``RDBStorage.upgrade`` opens connections of its own, which know no schema but by a parameter of
    theirs, and a pooler takes none.
    """
    scripts = ScriptDirectory(str(Path(models.__file__).parent / "alembic"))

    def steps(found: Any, _: object) -> Any:
        return scripts._upgrade_revs("head", found)

    with EnvironmentContext(Config(), scripts, fn=steps) as environment:
        environment.configure(
            connection=connection, target_metadata=models.BaseModel.metadata, render_as_batch=True
        )
        environment.run_migrations()
    release = {"schema_version": models.SCHEMA_VERSION, "library_version": optuna.__version__}
    connection.execute(update(models.VersionInfoModel).values(release))


def stored(value: float) -> dict[str, Any]:
    """Return the columns of an objective's value: infinities have a word of their own."""
    number, kind = models.TrialValueModel.value_to_stored_repr(value)
    return {"value": number, "value_type": kind}


def study_number(study: FrozenStudy) -> int:
    """Return the number by which a storage knows a study, which Optuna shows to storages alone."""
    return study._study_id


def study(
    template: FrozenStudy, number: int, name: str, system_attrs: dict[str, Any]
) -> FrozenStudy:
    """Return a study as a storage lists it, like another one but for these.

    Optuna's interface of storages is public, and what they have to return is not.
    """
    return FrozenStudy(
        study_name=name,
        direction=None,
        directions=template.directions,
        user_attrs=template.user_attrs,
        system_attrs=system_attrs,
        study_id=number,
    )
