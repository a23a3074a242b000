"""PURE: what an experiment no longer needs: ended attempts, held pods, files of trials."""

from collections.abc import Iterator
from typing import Final

from distillery_contract.request import Stage
from distillery_operator.engine.actions import Collect, Collected, Forget, Free, Release
from distillery_operator.resource.spec import CheckpointRetention, Spec
from distillery_operator.stopping import reasons
from distillery_operator.trials.attempt import Removal
from distillery_operator.trials.observation import Observation
from distillery_operator.trials.trial import State

COLLECT_AT_ONCE: Final = 10
COLLECT_AT_MOST: Final = 500
"""Trials whose files are removed together, at least and at most: on a cluster each removal takes a
pod, whose request must fit into one environment variable."""


def release(seen: Observation) -> Iterator[Release]:
    """Yield the attempts of trials and tests whose ending is stored."""
    for attempt in seen.attempts:
        if seen.stored(attempt) and not attempt.remains:
            yield Release(attempt)


def free(seen: Observation) -> Iterator[Free]:
    """Yield the attempts whose pods are held, though the next attempt has taken over."""
    last: dict[int, int] = {}
    for attempt in seen.attempts:
        if attempt.stage is Stage.TRAIN:
            last[attempt.trial] = max(attempt.number, last.get(attempt.trial, 0))
    for attempt in seen.attempts:
        if attempt.held and not attempt.live and attempt.number < last[attempt.trial]:
            yield Free(attempt)


def collected(seen: Observation) -> Iterator[Collected]:
    """Yield the trials whose files are gone, if that is not stored yet."""
    for removal in seen.removals:
        gone = _untold(removal, seen)
        if removal.done and gone and not _forgotten(removal, seen):
            yield Collected(gone)


def forget(seen: Observation) -> Iterator[Forget]:
    """Yield the removals that are not to stay.

    A restored database knows nothing of some: their trials run again. Others are stored, but their
    pod is kept alive by containers that do not end by themselves.
    """
    for removal in seen.removals:
        stays = removal.attempt.lingers and removal.done and not _untold(removal, seen)
        if stays or _forgotten(removal, seen):
            yield Forget(removal)


def _untold(removal: Removal, seen: Observation) -> tuple[int, ...]:
    """Return the trials of a removal that are not stored as trials without files."""
    known = (n for n in removal.trials if n < len(seen.trials))
    return tuple(n for n in known if not seen.trials[n].collected)


def _forgotten(removal: Removal, seen: Observation) -> bool:
    trials = (seen.trials[n] for n in removal.trials if n < len(seen.trials))
    return any(trial.state is State.RUNNING for trial in trials)


def collect(spec: Spec, seen: Observation, over: bool) -> Iterator[Collect]:
    """Yield the trials whose files nobody needs; those of a failed trial may explain its failure.

    A removal that has failed is repeated once its runner has forgotten it.

    Args:
        spec: of the experiment.
        seen: what there is.
        over: whether the experiment is over, so that no stopped trial goes on.
    """
    if spec.checkpoint_retention is CheckpointRetention.ALL:
        return
    kept = {trial.number for trial in seen.verdicts(spec).front}
    kept |= {a.trial for a in seen.attempts if a.stage is Stage.TEST and a.remains}
    if not over:
        kept |= reasons.resumable(seen.trials)
    useless = tuple(
        trial.number
        for trial in seen.trials
        if trial.state in (State.COMPLETED, State.INFEASIBLE, State.STOPPED)
        and trial.seconds
        and not (trial.collected or trial.baseline or trial.number in kept)
        and trial.number not in seen.removing
    )
    if len(useless) >= COLLECT_AT_ONCE or (useless and over):
        yield Collect(useless[:COLLECT_AT_MOST])
