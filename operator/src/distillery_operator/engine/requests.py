"""PURE: a stage of an experiment as the request that a trainer gets, and where its results lie.

The workspace is the trainers' working directory: the current folder on one machine, the mounted
volume on a cluster.
"""

import hashlib
from collections.abc import Sequence
from typing import Final

from distillery_contract import parameters, request
from distillery_contract.request import Stage
from distillery_operator.engine.actions import Launch
from distillery_operator.resource import space
from distillery_operator.resource.experiment import Experiment
from distillery_operator.stopping import measuring
from distillery_operator.trials.observation import Preparation
from distillery_operator.trials.trial import Trial

CACHE: Final = "cache"
"""Folder of prepared features and teacher logits, shared by all experiments of a workspace."""

MODEL: Final = "model"
"""Folder of the trained student, in that of its training."""

TAKES_ROOM: Final = (MODEL, "checkpoints")
"""Folders of a trial that take room."""


def results(experiment: Experiment) -> str:
    """Return the folder of an experiment's results.

    On a cluster an experiment that is deleted and created again is another one, and must not go on
    from the checkpoints of the first; one that comes from a backup has the study of the first.
    """
    uid = experiment.metadata.study
    return f"experiments/{experiment.metadata.name}" + (f"-{uid[:8]}" if uid else "")


def output(experiment: Experiment, trial: int) -> str:
    """Return the folder of a trial: checkpoints, model, attempts."""
    return f"{results(experiment)}/trials/{trial:05d}"


def model(experiment: Experiment, trial: int) -> str:
    """Return the folder that a trained student is saved in."""
    return f"{output(experiment, trial)}/{MODEL}"


def seed_of(trial: Trial, attempt: int) -> int:
    """Return the seed of the confirmation that an attempt is of: 1, 2, … more than the trial's."""
    own = int(parameters.resolve(trial.parameters)["seed"] or 0)
    index = sum(known.attempt < attempt for known in trial.confirmations)
    return (own + 1 + index) % (int(parameters.PARAMETERS["seed"].high) + 1)


def confirmation(experiment: Experiment, trial: int, seed: int) -> str:
    """Return the folder of a trial's further training: checkpoints and model."""
    return f"{output(experiment, trial)}/{Stage.CONFIRM}/seed-{seed}"


def prepared(key: str) -> str:
    """Return the folder of prepared data."""
    return f"{CACHE}/{key}"


def disposable(
    experiment: Experiment, trials: Sequence[int], runs: Sequence[tuple[int, int]] = ()
) -> list[str]:
    """Return the folders that take room, models and checkpoints: of trials, of confirmations."""
    places = [output(experiment, trial) for trial in trials]
    places += [confirmation(experiment, *run) for run in runs]
    return [f"{place}/{name}" for place in places for name in TAKES_ROOM]


def order(
    experiment: Experiment,
    launch: Launch,
    trial: Trial | None = None,
    preparation: Preparation | None = None,
    remove: Sequence[str] = (),
) -> request.Request:
    """Return what a trainer is asked for.

    Args:
        experiment: names data, teacher and student.
        launch: stage, trial and attempt.
        trial: with its hyperparameters; None for stages that train nothing.
        preparation: what stage prepare found; None before.
        remove: folders to remove (stage collect).
    """
    spec, training = experiment.spec, launch.stage is Stage.TRAIN
    before = trial.continues if trial and training else None
    folder = output(experiment, launch.trial) if trial or training else results(experiment)
    given = dict(trial.parameters) if trial else space.described(spec, {})
    windows = preparation.windows if preparation else {}
    seed = _other_seed(launch, trial) if trial else None
    if seed is not None:
        folder, given = confirmation(experiment, launch.trial, seed), {**given, "seed": seed}
    return request.Request(
        experiment=experiment.metadata.name,
        stage=Stage.TRAIN if launch.stage.trains else launch.stage,
        data=request.Data(**spec.data.model_dump()),
        teacher=request.Teacher(**spec.teacher.model_dump()),
        student=request.Student(**spec.student.model_dump()),
        cache=CACHE,
        output=folder,
        trial=launch.trial,
        attempt=launch.number,
        prepared=preparation.key if preparation else None,
        parameters=given,
        rungs=tuple(measuring.rungs(spec, given, windows)) if training and trial else (),
        continues=None if before is None else output(experiment, before),
        remove=remove,
    )


def _other_seed(launch: Launch, trial: Trial) -> int | None:
    """Return the seed of the confirmation that is trained, or whose model is tested; or None."""
    if launch.stage is Stage.CONFIRM:
        return seed_of(trial, launch.number)
    if launch.stage is Stage.TEST and trial.model is None:  # the search's own is gone
        return next((c.seed for c in trial.confirmations if c.model), None)
    return None


def digest(wanted: request.Request) -> str:
    """Return what tells suggestions and preparations apart: the same for all attempts of one.

    What trials and tests read is named by the key of what was prepared.
    """
    named = wanted.stage in (Stage.TRAIN, Stage.TEST)
    reads = () if named else (wanted.data, wanted.teacher, wanted.student)
    meaning = (
        *reads,
        str(wanted.stage),
        wanted.output,
        wanted.prepared,
        wanted.continues,
        sorted(wanted.parameters.items()),
    )
    return hashlib.sha256(repr(meaning).encode()).hexdigest()[:16]
