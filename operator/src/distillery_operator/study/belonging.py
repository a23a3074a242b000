"""PURE: whether a study is an experiment's own: it is the one that it names, and means the same."""

import json
from collections.abc import Mapping
from typing import Any

from distillery_operator.engine import conditions
from distillery_operator.errors import StudyMismatch, StudyMissing
from distillery_operator.resource.experiment import STUDY, Experiment
from distillery_operator.study import specs
from distillery_operator.study.contents import Contents
from distillery_operator.study.records import REMOVED
from distillery_operator.study.specs import MEANING, SPACE


def expect(experiment: Experiment, stored: Mapping[str, Any] | None, begun: str | None) -> None:
    """See to it that the named study is here: to begin anew would forget what it has.

    Args:
        experiment: names the study.
        stored: attributes of the study that was found, as JSON; None if there is none.
        begun: when the study was created, as a status says it; None if nothing says so.

    Raises:
        StudyMissing: it is not there, or another one is.
    """
    metadata = experiment.metadata
    found = stored and conditions.timestamp(json.loads(stored["started"]))
    if found is not None and begun in (None, found):
        return
    lacks = f"has one of {found}, not of {begun}," if found else "has none"
    raise StudyMissing(
        f"the annotation {STUDY} names the study {metadata.study} of"
        f" {metadata.namespace}/{metadata.name}, but the database {lacks}: bring its own"
        " database back, restore the database, or remove the annotation to begin another search"
    )


def compare(
    experiment: Experiment, stored: Mapping[str, Any], held: Contents
) -> dict[str, Any] | None:
    """See to it that what gives results their meaning is as it was.

    Until something was prepared or suggested, nothing has a meaning yet. A study of an earlier
    release takes it from the first spec that this release sees.

    Args:
        experiment: as it is now.
        stored: attributes of the study.
        held: the same, and its trials.

    Returns:
        The meaning that is to be stored; None if the stored one stands.

    Raises:
        StudyMismatch: the study was made for another search space, for other objectives, or with
            other data, models or hyperparameters.
        StudyMissing: the study is being removed.
    """
    name, spec = experiment.metadata.name, experiment.spec
    if REMOVED in stored:
        raise StudyMissing(
            f"the study {name!r} is being removed by `distillery prune`: give the experiment"
            f" another name, or remove its annotation {STUDY} to begin another search"
        )
    if other := specs.mismatch(stored[SPACE], spec):
        raise StudyMismatch(
            f"the study {name!r} was made for {other}; search space and objectives are"
            " immutable, so give the experiment another name"
        )
    before, now = stored.get(MEANING), specs.meaning_of(spec)
    if before is None or not (held.preparation or held.trials):
        return None if before == now else now
    if changes := specs.edited(before, spec, held.trials):
        raise StudyMismatch(
            f"the results of {name!r} were made with other settings: {'; '.join(changes)}."
            " Data, teacher, student, training and baselines that have run are immutable,"
            " for results must stay comparable: set them back, or give the experiment"
            " another name"
        )
    return None
