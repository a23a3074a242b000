"""The results of an experiment, wherever they are, and how a model leaves them.

:mod:`distillery_operator.results.local` and :mod:`distillery_operator.results.cluster` are the two
ways; the commands status, report and export meet both of them here.
"""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from distillery_contract.size import Architecture
from distillery_operator.errors import NotFound
from distillery_operator.resource import files
from distillery_operator.resource.experiment import Experiment
from distillery_operator.resource.status import Status
from distillery_operator.results import model_card
from distillery_operator.trials.trial import Trial


class Results(Protocol):
    """The results of one experiment."""

    @property
    def report(self) -> Path:
        """Return where its report is written unless a person says otherwise."""

    def look(self) -> tuple[Experiment, Status]:
        """Return the experiment and its status."""

    def trials(self) -> tuple[Trial, ...]:
        """Return all trials."""

    def studied(self) -> tuple[Mapping[str, Architecture], tuple[Trial, ...]]:
        """Return what students start from, empty before it is prepared, and all trials."""

    def models(self) -> Mapping[int, str]:
        """Return where the models are, by the numbers of the trials that still have one."""

    def suggest(self, name: str, parameters: Mapping[str, object]) -> str:
        """Have a person's point run next; return a sentence that says what follows.

        Raises:
            InvalidExperiment: it breaks rules; the error has every fault.
        """

    def copy(self, model: str, folder: Path) -> None:
        """Copy one of the models into a folder, which this makes."""


def export(results: Results, trial: int, folder: Path) -> None:
    """Copy a trial's model into a folder that transformers loads; it appears whole or not at all.

    A model card says what it is and what made it, as far as the study still knows.

    Raises:
        NotFound: the trial has no model.
        Unusable: the folder exists, or cannot be written.
    """
    files.expect_none(folder)  # before anything that takes long
    models = results.models()
    if trial not in models:
        raise NotFound(f"trial {trial} has no model; trials with one: {sorted(models)}")
    with files.appearing(folder) as part:
        results.copy(models[trial], part)
        with suppress(NotFound):
            (experiment, _), trials = results.look(), results.trials()
            text = model_card.card(experiment, trials, trial)
            (part / model_card.FILE).write_text(text, encoding="utf-8")
