"""PURE: what an experiment no longer needs: ended attempts, held pods, files of trials."""

from collections.abc import Iterator, Mapping
from typing import Final

from distillery_contract.request import Stage
from distillery_operator.engine.actions import Collect, Collected, Forget, Free, Release
from distillery_operator.resource.spec import CheckpointRetention, Spec
from distillery_operator.search import reported
from distillery_operator.stopping import reasons
from distillery_operator.trials.attempt import Removal
from distillery_operator.trials.observation import Observation
from distillery_operator.trials.trial import Confirmation, State

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
    last: dict[tuple[Stage, int], int] = {}
    for attempt in seen.attempts:
        place = attempt.stage, attempt.trial
        last[place] = max(attempt.number, last.get(place, 0))
    for attempt in seen.attempts:
        taken_over = attempt.number < last[attempt.stage, attempt.trial]
        if attempt.held and not attempt.live and taken_over:
            yield Free(attempt)


def collected(seen: Observation) -> Iterator[Collected]:
    """Yield the trials and confirmations whose files are gone, if that is not stored yet."""
    for removal in seen.removals:
        gone = _untold(removal, seen)
        if removal.done and (gone.trials or gone.runs) and not _forgotten(removal, seen):
            yield gone


def forget(seen: Observation) -> Iterator[Forget]:
    """Yield the removals that are not to stay.

    A restored database knows nothing of some: their trials run again. Others are stored, but their
    pod is kept alive by containers that do not end by themselves.
    """
    for removal in seen.removals:
        told = removal.done and _untold(removal, seen) == Collected(())
        if (told and removal.attempt.lingers) or _forgotten(removal, seen):
            yield Forget(removal)


def _untold(removal: Removal, seen: Observation) -> Collected:
    """Return what of a removal is not stored as without files."""
    known = (n for n in removal.trials if n < len(seen.trials))
    trials = tuple(n for n in known if not seen.trials[n].collected)
    runs = ((run, _confirmation(seen, run)) for run in removal.runs)
    return Collected(trials, tuple(run for run, found in runs if found and not found.collected))


def _forgotten(removal: Removal, seen: Observation) -> bool:
    trials = (seen.trials[n] for n in removal.trials if n < len(seen.trials))
    again = any(trial.state is State.RUNNING for trial in trials)
    return again or any(_confirmation(seen, run) is None for run in removal.runs)


def _confirmation(seen: Observation, run: tuple[int, int]) -> Confirmation | None:
    """Return a confirmation by its trial and seed; None of one that the study does not know."""
    number, seed = run
    known = seen.trials[number].confirmations if number < len(seen.trials) else ()
    return next((found for found in known if found.seed == seed), None)


def collect(spec: Spec, seen: Observation, over: bool, confirming: bool) -> Iterator[Collect]:
    """Yield the trials whose files nobody needs; those of a failed trial may explain its failure.

    The front as it was measured keeps its models, and so does the front as it is reported. A
    removal that has failed is repeated once its runner has forgotten it.

    Args:
        spec: of the experiment.
        seen: what there is.
        over: whether the experiment is over, so that no stopped trial goes on.
        confirming: whether points of the front are still trained again.
    """
    if spec.checkpoint_retention is CheckpointRetention.ALL:
        return
    kept = {trial.number for trial in seen.verdicts(spec).front}
    kept |= {a.trial for a in seen.attempts if a.stage is Stage.TEST and a.remains}
    if not over:
        kept |= reasons.resumable(seen.trials)
    useless = [
        trial.number
        for trial in seen.trials
        if trial.state in (State.COMPLETED, State.INFEASIBLE, State.STOPPED)
        and trial.seconds
        and not (trial.collected or trial.baseline or trial.number in kept)
        and trial.number not in seen.removing
    ]
    left = [
        (t.number, c.seed)
        for t in seen.trials
        for c in t.confirmations
        if not c.collected and (t.number, c.seed) not in seen.removing_runs
    ]
    if not left and len(useless) < COLLECT_AT_ONCE and not (useless and over):
        return
    shown = {trial.number: trial.model for trial in reported.front_of(seen.verdicts(spec))}
    useless = [number for number in useless if number not in shown]
    runs = [] if confirming else [r for r in left if not _reported(seen, shown, r)]
    if len(useless) >= COLLECT_AT_ONCE or ((useless or runs) and over):
        yield Collect(tuple(useless[:COLLECT_AT_MOST]), tuple(runs[:COLLECT_AT_MOST]))


def _reported(seen: Observation, models: Mapping[int, str | None], run: tuple[int, int]) -> bool:
    """Tell whether the model of a confirmation, by trial and seed, is that of a reported point."""
    found, (number, _) = _confirmation(seen, run), run
    if found is None or found.model is None:
        return False
    tested = any(a.remains for a in seen.attempts_of(Stage.TEST, number))
    return tested or models.get(number) == found.model
