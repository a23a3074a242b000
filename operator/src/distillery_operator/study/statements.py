"""EDGE: statements on Optuna's tables, and the rows that they write.

Called by :mod:`distillery_operator.study.tables`.
"""

import functools
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from optuna.distributions import distribution_to_json
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import (
    Executable,
    Select,
    Table,
    UniqueConstraint,
    exists,
    func,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from distillery_operator.internals import of_optuna
from distillery_operator.internals.of_optuna import (
    ATTRIBUTES,
    FIXED_PARAMETERS,
    STUDY_ATTRIBUTES,
    SYSTEM_ATTRIBUTES,
    TRIALS,
)
from distillery_operator.study.curves import CURVE, READINGS
from distillery_operator.study.records import BY_HAND
from distillery_operator.study.rows import RECORD, SUGGESTION

MARK: Final = "mark"
"""Attribute of the study: another random word after each change. The first release had none."""

Rows = list[dict[str, Any]]


def seen(study: int) -> Select[Any]:
    """Select the mark, and how many trials there are: in all, the last one, waiting and running."""
    marked = select(STUDY_ATTRIBUTES.c.value_json).where(
        STUDY_ATTRIBUTES.c.study_id == study, STUDY_ATTRIBUTES.c.key == MARK
    )
    count = func.count()
    return select(
        marked.scalar_subquery(),
        count,
        func.coalesce(func.max(TRIALS.c.trial_id), 0),
        count.filter(TRIALS.c.state == TrialState.WAITING),
        count.filter(TRIALS.c.state == TrialState.RUNNING),
    ).where(TRIALS.c.study_id == study)


def marked(study: int, before: str | None, after: str, server: bool) -> Executable:
    """Change the mark where it is what it was before, None if there was none; return a row then."""
    row = {"study_id": study, "key": MARK, "value_json": after}
    if before is None:
        insertion = postgresql.insert if server else sqlite.insert
        made = insertion(STUDY_ATTRIBUTES).values(row).on_conflict_do_nothing()
        return made.returning(STUDY_ATTRIBUTES.c.key)
    there = [STUDY_ATTRIBUTES.c[name] == row[name] for name in ("study_id", "key")]
    changed = update(STUDY_ATTRIBUTES).where(*there, STUDY_ATTRIBUTES.c.value_json == before)
    return changed.values(value_json=after).returning(STUDY_ATTRIBUTES.c.key)


def of_study(study: int) -> Select[Any]:
    """Select the attributes of a study: names and JSON."""
    return select(STUDY_ATTRIBUTES.c.key, STUDY_ATTRIBUTES.c.value_json).where(
        STUDY_ATTRIBUTES.c.study_id == study
    )


def of_trials(study: int, numbers: bool = False, beginning: str | None = None) -> Select[Any]:
    """Select the trials of a study, each with its attributes.

    Args:
        study: its key.
        numbers: whether to select only what tells the number of a trial: its record, or else its
            suggestion.
        beginning: of readings; where a trial has such readings, its curve is left out.
    """
    join, key = ATTRIBUTES.c.trial_id == TRIALS.c.trial_id, ATTRIBUTES.c.key
    other = ATTRIBUTES.alias()
    same = other.c.trial_id == ATTRIBUTES.c.trial_id
    if numbers:
        recorded = exists().where(same, other.c.key == RECORD)
        join &= (key == RECORD) | ((key == SUGGESTION) & ~recorded)
    if beginning is not None:
        begun = func.substr(other.c.value_json, 1, len(beginning)) == beginning
        join &= (key != CURVE) | ~exists().where(same, other.c.key == READINGS, begun)
    return (
        select(
            TRIALS.c.trial_id,
            TRIALS.c.number,
            TRIALS.c.state,
            ATTRIBUTES.c.key,
            ATTRIBUTES.c.value_json,
        )
        .select_from(TRIALS.outerjoin(ATTRIBUTES, join))
        .where(TRIALS.c.study_id == study)
        .order_by(TRIALS.c.trial_id)
    )


def suggested(study: int, after: int) -> Select[Any]:
    """Count the suggestions of Distillery in the rows after one."""
    return (
        select(func.count())
        .select_from(TRIALS.join(ATTRIBUTES))
        .where(
            TRIALS.c.study_id == study,
            TRIALS.c.trial_id > after,
            ATTRIBUTES.c.key == SUGGESTION,
        )
    )


def enqueued(study: int) -> Select[Any]:
    """Select the trials that Optuna's tools enqueued, and the parameters that they were given."""
    return (
        select(TRIALS.c.trial_id, SYSTEM_ATTRIBUTES.c.value_json)
        .join(SYSTEM_ATTRIBUTES)
        .where(
            TRIALS.c.study_id == study,
            TRIALS.c.state == TrialState.WAITING,
            SYSTEM_ATTRIBUTES.c.key == FIXED_PARAMETERS,
        )
    )


def named(study: int) -> Select[Any]:
    """Select the names of the trials that were enqueued with one, and the parameters given."""
    return (
        select(ATTRIBUTES.c.value_json, SYSTEM_ATTRIBUTES.c.value_json.label("fixed"))
        .select_from(TRIALS)
        .join(ATTRIBUTES, ATTRIBUTES.c.trial_id == TRIALS.c.trial_id)
        .join(SYSTEM_ATTRIBUTES, SYSTEM_ATTRIBUTES.c.trial_id == TRIALS.c.trial_id)
        .where(
            TRIALS.c.study_id == study,
            ATTRIBUTES.c.key == BY_HAND,
            SYSTEM_ATTRIBUTES.c.key == FIXED_PARAMETERS,
        )
    )


@functools.cache  # to build it takes longer than to execute it
def upsert(table: Table, server: bool, columns: tuple[str, ...]) -> Executable:
    """Return what inserts rows of these columns, or gives those that are there the new values."""
    unique = next(c for c in table.constraints if isinstance(c, UniqueConstraint))
    keys = [column.name for column in unique.columns]
    statement = postgresql.insert(table) if server else sqlite.insert(table)
    new = {name: statement.excluded[name] for name in columns if name not in keys}
    return statement.on_conflict_do_update(index_elements=keys, set_=new)


def utc(seconds: float) -> datetime:
    """Return a moment as Optuna's tables hold it."""
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)


def attributes(owner: str, identifier: int, values: Mapping[str, object]) -> Rows:
    """Return rows of attributes; ``owner`` is the column of what they belong to."""
    return [{owner: identifier, "key": k, "value_json": json.dumps(v)} for k, v in values.items()]


def parameters(identifier: int, trial: FrozenTrial) -> Rows:
    """Return rows of the parameters of a trial."""
    return [
        {
            "trial_id": identifier,
            "param_name": name,
            "param_value": distribution.to_internal_repr(trial.params[name]),
            "distribution_json": distribution_to_json(distribution),
        }
        for name, distribution in trial.distributions.items()
    ]


def values(identifier: int, trial: FrozenTrial) -> Rows:
    """Return rows of the objectives of a trial."""
    return [
        {"trial_id": identifier, "objective": objective, **of_optuna.stored(value)}
        for objective, value in enumerate(trial.values or ())
    ]
