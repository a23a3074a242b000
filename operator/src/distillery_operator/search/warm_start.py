"""PURE: which trials of another experiment inform the sampler of this one. ``study`` asks.

A trial fits if it could have been suggested here: what is searched lies in the space, and what is
fixed has the same value. It informs the sampler and nothing else; it never stands on this front.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from distillery_contract import parameters
from distillery_contract.parameters import Initialization, Value
from distillery_operator.errors import Unfit
from distillery_operator.resource import space
from distillery_operator.resource.sampler import GP_TRIALS, SamplerType
from distillery_operator.resource.spec import Spec, WarmStart
from distillery_operator.stopping import reasons
from distillery_operator.trials import feasibility
from distillery_operator.trials.trial import State, Trial

NEUTRAL: Final = ("seed", "evaluations", "per_device_eval_batch_size", "compile")
"""Hyperparameters that change what is measured by chance only, or not at all."""

TELLING: Final = (State.COMPLETED, State.INFEASIBLE, State.STOPPED)
"""Endings that say something of what was suggested."""

TAKEN: Final = 1000
"""Trials of one source at most, the last ones: each makes every suggestion slower."""


@dataclass(frozen=True)
class Source:
    """Another experiment.

    Attributes:
        objectives: direction of each metric.
        key: of its prepared data; None before there are any.
        trials: all of them.
        students: model and revision that a trial started from, by its number; only of those with
            ``initialization: Pretrained``, and not of those that earlier releases stored.
    """

    objectives: Mapping[str, str]
    key: str | None
    trials: Sequence[Trial]
    students: Mapping[int, Mapping[str, str | None]] = field(default_factory=dict)


def check(spec: Spec, wanted: WarmStart, source: Source) -> None:
    """See whether a source can fit at all.

    Raises:
        Unfit: it trades off something else, or no trial has ended.
    """
    name, own = wanted.experiment, {o.metric: str(o.direction) for o in spec.objectives}
    if source.objectives != own:
        raise Unfit(
            f"the objectives of {name} must be {', '.join(own)}, but are"
            f" {', '.join(source.objectives)}"
        )
    if not any(_tells(trial) for trial in source.trials):
        raise Unfit(f"no trial of {name} has ended with a result yet")


def fitting(spec: Spec, key: str, wanted: WarmStart, source: Source) -> tuple[Trial, ...]:
    """Return the trials of a source that inform the sampler, in the order of their ends.

    Args:
        spec: of this experiment.
        key: of its prepared data.
        wanted: how the source is wanted.
        source: whose trials.

    Raises:
        Unfit: there is none; the message says why.
    """
    check(spec, wanted, source)
    if source.key != key and not wanted.other_data:
        raise Unfit(
            f"the trials of {wanted.experiment} were measured on other data, or with another"
            " teacher; with otherData: true they inform the sampler all the same"
        )
    same = [t for t in source.trials if wanted.other_data or _same_student(spec, t, source)]
    found = [_taken(spec, trial) for trial in same if _fits(spec, trial)]
    if not found:
        raise Unfit(
            f"none of the {len(source.trials)} trials of {wanted.experiment} could have been"
            " suggested here: each has a hyperparameter outside this search space, or another value"
            " of one that is fixed here, or started from another student.model"
        )
    return tuple(sorted(found, key=lambda trial: (trial.ended or 0.0, trial.number))[-TAKEN:])


def student(spec: Spec, values: Mapping[str, Value]) -> dict[str, str | None] | None:
    """Return model and revision that a trial with these hyperparameters starts from, if any.

    The key of the prepared data does not tell: of the student only the tokenizer is in it.
    """
    if parameters.resolve(values)["initialization"] != Initialization.PRETRAINED:
        return None
    return {"model": spec.student.model, "revision": spec.student.revision}


def informing(spec: Spec, taken: Mapping[str, Sequence[Trial]]) -> dict[str, Sequence[Trial]]:
    """Return the trials that the sampler gets, of those that were taken from each source.

    Gaussian processes get as many as their limit leaves beside this experiment's own: evenly over
    all, for the first ones lie all over the space and the last ones near the front.
    """
    names = [w.experiment for w in spec.warm_start_from if w.experiment in taken]
    given = [(name, trial) for name in names for trial in taken[name]]
    room = GP_TRIALS - spec.max_trials
    if spec.sampler.type is SamplerType.GP and len(given) > room:
        given = [given[(place + 1) * len(given) // room - 1] for place in range(room)]
    return {name: tuple(trial for source, trial in given if source == name) for name in names}


def _tells(trial: Trial) -> bool:
    """Tell whether a trial was trained, and is not the copy of another.

    What is taken has neither reason nor curve, by which its own experiment knows such trials.
    """
    copied = trial.reason == feasibility.DUPLICATE
    return trial.state in TELLING and not copied and not reasons.refused(trial)


def _same_student(spec: Spec, trial: Trial, source: Source) -> bool:
    wanted = student(spec, trial.parameters)
    return wanted is None or source.students.get(trial.number) == wanted


def _fits(spec: Spec, trial: Trial) -> bool:
    measured = {objective.metric for objective in spec.objectives} <= trial.metrics.keys()
    if not _tells(trial) or (trial.state is State.COMPLETED and not measured):
        return False
    given = parameters.resolve(trial.parameters)
    searched = space.reduced(spec, trial.parameters)
    fixed = parameters.resolve(space.described(spec, searched))
    others = given.keys() - searched.keys() - {*NEUTRAL}
    return space.whole(spec, searched) and all(given[n] == fixed.get(n) for n in others)


def _taken(spec: Spec, trial: Trial) -> Trial:
    """Return what a sampler looks at."""
    return Trial(
        number=trial.number,
        parameters=space.reduced(spec, trial.parameters),
        state=trial.state,
        expected=trial.expected,
        metrics=trial.metrics,
        ended=trial.ended,
    )
