"""An experiment that ran on this machine, as the commands that look at results find it.

A results folder may have been copied, cut short or used for other files as well. What is not
Distillery's own is left alone; what is missing is named.
"""

import asyncio
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from distillery_contract.size import Architecture
from distillery_operator.errors import DistilleryError, NotFound, StudyMismatch, Unusable
from distillery_operator.resource import files, yaml_files
from distillery_operator.resource.experiment import Experiment
from distillery_operator.resource.status import Status
from distillery_operator.results import suggesting
from distillery_operator.trials.trial import Trial

if TYPE_CHECKING:
    from distillery_operator.study.tables import Storage

TRIAL: Final = re.compile("[0-9]{5,}")
"""Name of a trial's folder."""


class Results:
    """The results of one experiment."""

    def __init__(self, folder: Path) -> None:
        """Look at a folder of results."""
        self._folder = folder
        self._experiment = folder / "experiment.yaml"
        self._status = folder / "status.yaml"
        self.report = folder / "report.html"

    @property
    def database(self) -> Path:
        """Return the file of the study."""
        return Path(os.path.realpath(self._folder / "study.db"))

    def experiment(self) -> Experiment:
        """Return the experiment."""
        return yaml_files.read_experiment(self._experiment)

    def look(self) -> tuple[Experiment, Status]:
        """Return the experiment and its status."""
        return self.experiment(), yaml_files.read_status(self._status)

    def trials(self) -> tuple[Trial, ...]:
        """Return all trials."""
        return self.studied()[1]

    def studied(self) -> tuple[Mapping[str, Architecture], tuple[Trial, ...]]:
        """Return what students start from, empty before it is prepared, and all trials."""
        experiment = self.experiment()
        with _readable(self.database) as database:
            if not _has_study(database, experiment):
                name = experiment.metadata.name
                raise NotFound(f"there is no study of {name} in {self.database}")
            return asyncio.run(_load(database, experiment))

    def models(self) -> Mapping[int, str]:
        """Return the folders of the models, by the numbers of their trials.

        Of a trial whose own model is gone, the one with the lowest seed that is there.
        """
        own = sorted(self._folder.glob("trials/*/model"))
        further = sorted(self._folder.glob("trials/*/confirm/seed-*/model"), key=_seed)
        found: dict[int, str] = {}
        for path in (*own, *further):
            trial = path.relative_to(self._folder).parts[1]
            if path.is_dir() and TRIAL.fullmatch(trial):
                found.setdefault(int(trial), str(path))
        return found

    def copy(self, model: str, folder: Path) -> None:
        """Copy a model into a folder, which this makes."""
        command = [sys.executable, "-m", "distillery_trainer.students.export", model, str(folder)]
        done = subprocess.run(command, check=False, stderr=subprocess.PIPE, errors="replace")
        if done.returncode:
            said = done.stderr.strip()
            raise DistilleryError(said.splitlines()[-1] if "Traceback" in said else said)

    def suggest(self, name: str, parameters: Mapping[str, object]) -> str:
        """Have a person's point run next; return a sentence that says what follows.

        It is enqueued in the study, where the search finds it: the file of the experiment is the
        person's own.
        """
        experiment = self.experiment()
        if not os.access(self.database.parent, os.W_OK, effective_ids=True):
            raise Unusable(f"{self.database.parent} cannot be written")
        with _stored(self.database, experiment) as place:
            known = place.suggested()
            again = known.get(name) == parameters
            suggestion = suggesting.checked(experiment, name, parameters, [] if again else known)
            if again or suggestion is None:
                return f"{name} is suggested already"
            place.enqueue(suggestion.name, suggestion.parameters)
        waits = suggesting.note(self.before()) or "; `distillery run` runs it next"
        return f"{name} is suggested{waits}"

    def keep(self, text: str) -> None:
        """Keep the text of the experiment's file; its time says which experiment ran last."""
        files.write(self._experiment, text)

    def before(self) -> Status | None:
        """Return the status that was written last; None without one that is of any use."""
        try:
            return yaml_files.read_status(self._status)
        except (NotFound, Unusable):
            return None

    def write(self, experiment: Experiment, status: Status) -> None:
        """Write the status."""
        yaml_files.write_status(self._status, experiment, status)

    def check(self, experiment: Experiment) -> None:
        """See to it that trainings that lie here are those of the experiment's study.

        Without the study nobody would look at them, and a search would wait for them for ever.

        Raises:
            StudyMismatch: there are trainings, but no study of this name.
            Unusable: a folder stands where a file has to be written.
        """
        for path in (self._experiment, self._status, self.report):
            if path.is_dir():
                raise Unusable(f"{path} must be a file, but is a folder")
        trained = self._folder.glob("trials/*/attempt-*")
        ours = any(TRIAL.fullmatch(attempt.parent.name) for attempt in trained)
        if ours and not _has_study(self.database, experiment):
            raise StudyMismatch(
                f"{self._folder} has trainings, but no study of {experiment.metadata.name}: it is"
                f" part of a copy, or a copy of another experiment's results; bring {self.database}"
                " back, or move the folder away"
            )


def known(workspace: Path) -> dict[str, Results]:
    """Return the experiments of a workspace by name, the one that ran last at the end."""
    found = [path for path in workspace.glob("experiments/*/experiment.yaml") if path.is_file()]
    found.sort(key=lambda path: path.stat().st_mtime)
    return {path.parent.name: Results(path.parent) for path in found}


@contextmanager
def _readable(database: Path) -> Iterator[Path]:
    """Give a study's file; a copy where its folder is read-only, for SQLite writes to read."""
    if os.access(database.parent, os.W_OK, effective_ids=True):
        yield database
        return
    with tempfile.TemporaryDirectory() as folder:
        for path in database.parent.glob(f"{database.name}*"):
            shutil.copyfile(path, Path(folder) / path.name)
        yield Path(folder) / database.name


def _seed(model: Path) -> int:
    """Return the seed that the model of a further training was trained with."""
    number = model.parent.name.removeprefix("seed-")
    return int(number) if number.isdecimal() else 0


# Optuna and SQLAlchemy take long to import, and a status does without them.
def _has_study(database: Path, experiment: Experiment) -> bool:
    from distillery_operator.study.database import of_file

    place = of_file(database)
    try:
        return place.find(experiment.metadata.name) is not None
    finally:
        place.close()


@contextmanager
def _stored(database: Path, experiment: Experiment) -> "Iterator[Storage]":
    """Give what is stored of an experiment, for the length of a block."""
    from distillery_operator.study.database import of_file

    place = of_file(database)
    try:
        if place.find(experiment.metadata.name) is None:
            raise NotFound(f"there is no study of {experiment.metadata.name} in {database}")
        yield place
    finally:
        place.close()


async def _load(
    database: Path, experiment: Experiment
) -> tuple[Mapping[str, Architecture], tuple[Trial, ...]]:
    from distillery_operator.study import study

    async with study.in_file(database, experiment, time.time(), curves=True) as kept:
        _, preparation, trials = await kept.load()
    return preparation.sources if preparation else {}, trials
