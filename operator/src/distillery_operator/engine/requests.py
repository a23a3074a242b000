"""PURE: a stage of an experiment as the request that a trainer gets, and where its results lie.

The workspace is the trainers' working directory: the current folder on one machine, the mounted
volume on a cluster.
"""

import hashlib
from collections.abc import Sequence
from typing import Final

from distillery_contract import request
from distillery_contract.request import Stage
from distillery_operator.engine.actions import Launch
from distillery_operator.resource import space
from distillery_operator.resource.early_stopping import StoppingType
from distillery_operator.resource.experiment import Experiment
from distillery_operator.resource.spec import Spec
from distillery_operator.trials.observation import Preparation
from distillery_operator.trials.trial import Trial

CACHE: Final = "cache"
"""Folder of prepared features and teacher logits, shared by all experiments of a workspace."""

TAKES_ROOM: Final = ("model", "checkpoints")
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
    return f"{output(experiment, trial)}/model"


def prepared(key: str) -> str:
    """Return the folder of prepared data."""
    return f"{CACHE}/{key}"


def disposable(experiment: Experiment, trials: Sequence[int]) -> list[str]:
    """Return the folders of trials that take room: models and checkpoints."""
    return [f"{output(experiment, trial)}/{name}" for trial in trials for name in TAKES_ROOM]


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
    return request.Request(
        experiment=experiment.metadata.name,
        stage=launch.stage,
        data=request.Data(**spec.data.model_dump()),
        teacher=request.Teacher(**spec.teacher.model_dump()),
        student=request.Student(**spec.student.model_dump()),
        cache=CACHE,
        output=folder,
        trial=launch.trial,
        attempt=launch.number,
        prepared=preparation.key if preparation else None,
        parameters=dict(trial.parameters) if trial else space.described(spec, {}),
        rungs=tuple(spec.early_stopping.rungs) if training and _stops(spec, trial) else (),
        continues=None if before is None else output(experiment, before),
        remove=remove,
    )


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


def _stops(spec: Spec, trial: Trial | None) -> bool:
    """Tell whether a trial is judged at rungs, and so has to be measured there."""
    wanted = spec.early_stopping
    guarded = wanted.collapse and spec.data.unanswerable
    return trial is not None and (guarded or wanted.type is not StoppingType.NONE)
