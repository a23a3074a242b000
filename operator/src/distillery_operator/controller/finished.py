"""PURE: whether an experiment is finished, so that its study need not be read until it changes."""

from importlib import metadata
from typing import Final

from distillery_operator.cluster import marks
from distillery_operator.cluster.cache import Cache
from distillery_operator.cluster.kinds import Key, Object
from distillery_operator.engine.reconcile import Pass
from distillery_operator.resource.experiment import Experiment
from distillery_operator.resource.spec import DeletionPolicy
from distillery_operator.resource.status import Status
from distillery_operator.results import trials_server

RELEASE: Final = metadata.version("distillery-operator")
"""Of this operator: one of another release may write more into a status."""


def left_nothing(result: Pass) -> bool:
    """Tell whether a pass found the experiment over: nothing to do, refused or being removed."""
    decision, seen = result.decision, result.seen
    processes = (*seen.attempts, *seen.foreign, *(removal.attempt for removal in seen.removals))
    live = any(attempt.live for attempt in processes)
    return decision.finished and not (decision.actions or result.refused or live)


def stays(
    key: Key,
    found: Object,
    experiment: Experiment,
    status: Status | None,
    *,
    cache: Cache,
    service: str,
) -> bool:
    """Tell whether an experiment is as it was when nothing was left to do.

    Args:
        key: names it.
        found: as the API server has it.
        experiment: the same.
        status: that it has.
        cache: what the watches have shown; a Job or a pod that matters is something to do.
        service: that leads to where this operator serves trials.
    """
    metadata = experiment.metadata
    rotation = trials_server.rotation(metadata.annotations)
    return (
        status is not None
        and status.finished_generation == metadata.generation
        and status.release == RELEASE
        and metadata.settled
        and marks.held(found) == (experiment.spec.deletion_policy is DeletionPolicy.DELETE)
        and trials_server.path(service, key, status.trials_path, rotation) == status.trials_path
        and not cache.matters(key, metadata.study)
    )
