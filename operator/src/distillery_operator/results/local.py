"""An experiment that ran on this machine, as the commands that look at results find it."""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

from distillery_operator.errors import DistilleryError, NotFound
from distillery_operator.resource import yaml_files
from distillery_operator.resource.experiment import Experiment
from distillery_operator.resource.status import Status
from distillery_operator.study import study
from distillery_operator.trials.trial import Trial


class Results:
    """The results of one experiment."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.report = folder / "report.html"

    @property
    def database(self) -> Path:
        """Return the file of the study."""
        return (self._folder / "study.db").resolve()

    def look(self) -> tuple[Experiment, Status]:
        """Return the experiment and its status."""
        experiment = yaml_files.read_experiment(self._folder / "experiment.yaml")
        return experiment, yaml_files.read_status(self._folder / "status.yaml")

    def trials(self) -> tuple[Trial, ...]:
        """Return all trials."""
        experiment = yaml_files.read_experiment(self._folder / "experiment.yaml")
        return asyncio.run(_load(self.database, experiment))

    def export(self, trial: int, folder: Path) -> None:
        """Copy a trial's model into a folder that transformers loads."""
        source = self._folder / "trials" / f"{trial:05d}" / "model"
        if not source.is_dir():
            there = sorted(int(path.parent.name) for path in self._folder.glob("trials/*/model"))
            raise NotFound(f"trial {trial} has no model; trials with one: {there}")
        command = [
            sys.executable,
            "-m",
            "distillery_trainer.students.export",
            str(source),
            str(folder),
        ]
        done = subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise DistilleryError(done.stderr.strip())


def known(workspace: Path) -> dict[str, Results]:
    """Return the experiments of a workspace by name, the one that ran last at the end."""
    found = sorted(workspace.glob("experiments/*/experiment.yaml"), key=os.path.getmtime)
    return {path.parent.name: Results(path.parent) for path in found}


async def _load(database: Path, experiment: Experiment) -> tuple[Trial, ...]:
    async with study.in_file(database, experiment, time.time()) as kept:
        _, _, trials = await kept.load()
    return trials
