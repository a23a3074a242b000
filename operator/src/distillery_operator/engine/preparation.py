"""PURE: the stage that comes before all trials: when it is run, and what is kept of it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

from distillery_contract.request import Stage
from distillery_contract.wire import Exit, Reason
from distillery_operator.engine import endings, usage
from distillery_operator.engine.actions import Keep, Launch
from distillery_operator.engine.endings import End
from distillery_operator.resource.spec import Spec
from distillery_operator.trials.attempt import Attempt
from distillery_operator.trials.observation import Observation, Preparation
from distillery_operator.trials.trial import State


def launch(spec: Spec, seen: Observation) -> Iterator[Launch]:
    """Yield the preparation's next attempt, if there is to be one."""
    attempts = _all(seen)
    if any(attempt.stage is Stage.PREPARE for attempt in seen.foreign):
        return  # its name is taken until it is gone
    if not attempts:
        yield Launch(Stage.PREPARE, 0, 1)
    elif attempts[-1].remains or endings.rests(spec, seen, attempts[-1]):
        return
    elif not (failed(spec, seen) or any(keep(seen))):
        yield Launch(Stage.PREPARE, 0, attempts[-1].number + 1)


def ahead(spec: Spec, seen: Observation, launches: Iterable[Launch]) -> Iterator[Launch]:
    """Yield what begins in the free slots after the search: these, or what they read if it is gone.

    Nothing does while the experiment is suspended, obstructed, or out of its namespace's GPU-hours.
    """
    if spec.suspend or seen.obstacle or usage.capped(seen):
        return
    wanted = launch(spec, seen) if lost(seen) else launches
    yield from islice(wanted, int(usage.free_slots(spec, seen)))


def keep(seen: Observation) -> Iterator[Keep]:
    """Yield what a preparation found, if it is not stored yet."""
    if seen.prepared:
        return
    for attempt in _own(seen):
        report = seen.report(attempt)
        if attempt.exit_code != Exit.OK or report is None or report.key is None:
            continue
        if endings.out_of_bounds(report):
            continue
        if before := seen.preparation:  # trials are sized and judged by it: only the pins are new
            spent, gpus = usage.total(seen, _own(seen))
            seconds = before.seconds + spent
            mean = (before.seconds * before.gpus + spent * gpus) / seconds if seconds else gpus
            yield Keep(replace(before, seconds=seconds, gpus=mean, pinned=True))
            return
        seconds, gpus = usage.total(seen, _all(seen))
        _, _, notes = report.message.partition("; ")  # the first sentence says that it is done
        yield Keep(
            Preparation(
                report.key,
                report.teacher,
                report.sources,
                seconds,
                gpus,
                notes,
                report.windows,
                pinned=True,
            )
        )
        return


def failed(spec: Spec, seen: Observation) -> End | None:
    """Return how the preparation failed for good; None if it did not.

    Each edit of the spec lets it run again, with all its limits: a person has acted on what it
    said. It runs again for no other reason, and so not because its Jobs are gone.
    """
    own = [a for a in _own(seen) if a.generation in (None, seen.generation)]
    if seen.prepared or not own or _all(seen)[-1].live:
        return None
    step = endings.follow(spec, seen, own)
    return step if isinstance(step, End) and step.state is not State.COMPLETED else None


def lost(seen: Observation) -> bool:
    """Tell whether somebody found the data gone and they are not made again yet.

    That is a trial, a test, or a confirmation. What was interrupted while it made them again says
    so, too: after a restore of the database nobody may know any more who had found it.
    """
    preparing = _all(seen)
    if any(attempt.live for attempt in preparing) or any(map(_interrupted, preparing[-1:])):
        return True
    whole = [attempt for attempt in preparing if not _interrupted(attempt)]
    made = max((attempt.started or 0.0 for attempt in whole), default=0.0)
    last = {(a.stage, a.trial): a for a in seen.all_attempts if a.stage is not Stage.PREPARE}
    return any(
        attempt.exit_code == Exit.BAD_DATA and (attempt.ended or 0.0) > made
        for attempt in last.values()
        if not seen.stored(attempt)
    )


def _interrupted(attempt: Attempt) -> bool:
    return endings.cause(attempt, None)[0] is Reason.INTERRUPTED


def _all(seen: Observation) -> Sequence[Attempt]:
    return seen.attempts_of(Stage.PREPARE)


def _own(seen: Observation) -> Sequence[Attempt]:
    """Return the attempts that were asked for what one would be asked for now.

    Others read data that the spec no longer names, or pinned nothing. What an attempt of an earlier
    release was asked for is not known; it counts until something is stored.
    """
    if not seen.preparation_order:
        return _all(seen)
    unknown = () if seen.preparation else ("",)
    return [a for a in _all(seen) if a.digest in (seen.preparation_order, *unknown)]
