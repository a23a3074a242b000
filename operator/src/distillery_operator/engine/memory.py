"""PURE: what the study has to keep of attempts: Jobs are deleted, by hand or when their time is up.

Otherwise a trial whose Jobs have gone would have all its interruptions, crashes and hours before
it again, and a preparation that has failed would fail again every week.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from distillery_operator.engine import endings, trainers
from distillery_operator.engine.actions import Remember
from distillery_operator.trials.attempt import Attempt, AttemptKey
from distillery_operator.trials.observation import Observation, kept
from distillery_operator.trials.past_attempt import PastAttempt
from distillery_operator.trials.trial import Trial


def remember(seen: Observation) -> Iterator[Remember]:
    """Yield the attempts that have begun or ended since the study was told of them."""
    for attempt in seen.attempts:
        if seen.stored(attempt):
            continue
        if attempt.live and attempt.started is None:
            continue  # it has done nothing that counts
        before = seen.past(attempt)
        same = before and (before.over or attempt.live) and (before.halted or not attempt.halted)
        if not same:
            yield Remember(attempt.stage, attempt.trial, _past(seen, attempt, before))


def begun(trials: Sequence[Trial], preparing: Sequence[PastAttempt]) -> dict[str, AttemptKey]:
    """Return the attempts that have begun and not ended, as far as the study knows, by identity.

    One that is not listed is lost, or another operator has begun it and no watch has shown it here.
    """
    found = ((place, past) for place, past in kept(trials, preparing) if not past.over)
    return {past.identity: (*place, past.number) for place, past in found if past.identity}


def _past(seen: Observation, attempt: Attempt, before: PastAttempt | None) -> PastAttempt:
    generation = seen.generation if attempt.generation is None else attempt.generation
    return PastAttempt(
        number=attempt.number,
        identity=attempt.identity,
        over=not attempt.live,
        exit_code=attempt.exit_code,
        disrupted=attempt.disrupted,
        halted=attempt.halted,
        silent=attempt.silent,
        reason=attempt.reason,
        message="" if attempt.live else endings.cause(attempt, seen.report(attempt))[1],
        started=attempt.started if before is None or attempt.started else before.started,
        ended=attempt.ended,
        gpus=seen.gpus if before is None else before.gpus,
        provenance=trainers.provenance(seen, replace(attempt, generation=generation)),
    )
