"""PURE: which trainer made the results, and whether the next ones would be made by another one.

What a trainer says of itself decides. The name of an image says too little: the same release lies
under another name in a mirror, and ``latest`` is another release tomorrow. Its digest says too
much: one image has several, by kind of machine and by container runtime, and one that was built
again with a patched system trains the same. So name and digest count only where a trainer has not
spoken: it is silent, or no attempt has run by this image yet. Then no trial begins by it until an
attempt that resumes has told what it is, for nothing can tell later what a mixed front is worth.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from distillery_operator.resource.spec import Spec, TrainerChange
from distillery_operator.trials.attempt import Attempt, Report
from distillery_operator.trials.feasibility import DUPLICATE
from distillery_operator.trials.observation import Observation
from distillery_operator.trials.provenance import Provenance
from distillery_operator.trials.trial import State, Trial

RESULTS: Final = (State.COMPLETED, State.INFEASIBLE, State.STOPPED)
"""States of trials that say something of what was suggested."""

Result = tuple[float, Provenance]
"""When a training that had a result began, and what made it."""


@dataclass(frozen=True)
class Maker:
    """A trainer: how many results it made, and what made the last of them."""

    results: int
    last: Provenance

    def __str__(self) -> str:
        """Write both."""
        results = "1 result was" if self.results == 1 else f"{self.results} results were"
        return f"{results} made by {self.last}"


def provenance(seen: Observation, attempt: Attempt) -> Provenance:
    """Return what makes, or made, the result of an attempt."""
    report = seen.report(attempt) or Report("")
    return Provenance(
        generation=attempt.generation,
        request=attempt.digest,
        prepared=seen.preparation.key if seen.preparation else "",
        image=attempt.image,
        trainer=report.trainer,
    )


def makers(trials: Sequence[Trial]) -> list[Maker]:
    """Return the trainers that made the results of trials, the one that made most of them first."""
    return _makers([*_results(trials)])


def makers_of(seen: Observation) -> list[Maker]:
    """Return the same of all trials of a moment."""
    return seen.once(_all_makers)


def _all_makers(seen: Observation) -> list[Maker]:
    return _makers(seen.once(_all_results))


def _makers(results: Sequence[Result]) -> list[Maker]:
    by_maker: dict[tuple[str, ...], list[tuple[float, int]]] = {}
    for place, (when, made) in enumerate(results):
        name = made.trainer.releases or (made.digest or made.name,)
        by_maker.setdefault(name, []).append((when, place))
    found = sorted(by_maker.values(), key=lambda own: (-len(own), min(own)))
    return [Maker(len(own), results[max(own)[1]][1]) for own in found]


def change(seen: Observation) -> str:
    """Say which trainer made most results and which other one would make the next; or nothing."""
    return seen.once(_change)


def _change(seen: Observation) -> str:
    most, following = makers_of(seen)[:1], _following(seen)
    if not most or _alike(most[0].last, following):
        return ""
    unknown = "" if following.trainer.releases else ", which has not said what it is"
    return f"{most[0]}, but the next one would be made by {following}{unknown}"


def refusal(spec: Spec, seen: Observation) -> str:
    """Return why no trial may begin; empty if one may. What has begun may resume."""
    changed = change(seen)
    if not changed or spec.trainer_change is TrainerChange.ALLOW:
        return ""
    return (
        f"{changed}. No trial begins, for results of two trainers are hard to compare: bring the"
        " earlier one back (on a cluster, name its image in spec.template), or set"
        " spec.trainerChange to Allow"
    )


def _following(seen: Observation) -> Provenance:
    """Return what the next attempt is made by: as last heard of the same image."""
    upcoming = seen.upcoming
    if upcoming.trainer.releases:
        return upcoming
    heard = [(a.started, provenance(seen, a)) for a in seen.attempts if a.started is not None]
    told = [(when, made) for when, made in heard if made.trainer.releases]
    told += seen.once(_all_results)
    images = {made.image: made for _, made in told}
    same = {image for image, made in images.items() if _same_image(made, upcoming)}
    fitting = [(when, made) for when, made in told if made.image in same]
    return max(fitting, key=lambda one: one[0])[1] if fitting else upcoming


def _all_results(seen: Observation) -> list[Result]:
    return [*_results(seen.trials)]


def _results(trials: Sequence[Trial]) -> Iterator[Result]:
    """Yield what made results, each with the time at which its training began."""
    for trial in trials:
        repeats = trial.reason == DUPLICATE
        if trial.provenance and trial.state in RESULTS and not repeats:
            yield (trial.ended or 0.0) - trial.seconds, trial.provenance


def _alike(one: Provenance, other: Provenance) -> bool:
    """Tell whether two results are made alike, as far as that is known."""
    if one.trainer.releases and other.trainer.releases:
        return one.trainer.releases == other.trainer.releases
    return _same_image(one, other)


def _same_image(one: Provenance, other: Provenance) -> bool:
    if one.digest and other.digest:
        return one.digest == other.digest
    return one.name == other.name
