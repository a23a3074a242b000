"""The options and arguments that several commands share, and what they lead to.

Which experiment's results a command looks at is in :mod:`distillery_operator.cli.chosen_results`.
"""

import importlib.util
import math
import os
import shlex
import shutil
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from distillery_operator.errors import NotFound, Unusable

if TYPE_CHECKING:  # what takes long to import is imported where it is used
    from distillery_operator.resource.experiment import Experiment

STANDARD_INPUT: Final = "-"

DATABASE: Final = "DISTILLERY_DATABASE_URL"
"""Environment variable of the operator; set from a Secret, for the URL has a password."""

PORT: Final = click.IntRange(0, 65535)


@dataclass(frozen=True)
class Place:
    """Where a command works, and by which trainer.

    Attributes:
        workspace: folder of the experiments' relative paths and of the results.
        trainer: command of a trainer; None for Distillery's own.
    """

    workspace: Path
    trainer: Sequence[str] | None

    def find_trainer(self) -> Sequence[str]:
        """Return the command of the trainer.

        Raises:
            NotFound: there is no such program.
        """
        from distillery_operator.local import runner

        words = runner.TRAINER if self.trainer is None else self.trainer
        program = str(self.workspace / words[0]) if "/" in words[0] else words[0]
        if shutil.which(program) is None:
            raise NotFound(f"there is no program {words[0]} to run as the trainer")
        return words


class Seconds(click.ParamType[float]):
    """A length of time."""

    name = "seconds"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return a number of seconds, which must be finite and above 0."""
        try:
            seconds = float(value)
        except ValueError:
            seconds = math.nan
        if not 0 < seconds < math.inf:
            self.fail(f"must be a number of seconds above 0, but got {value!r}", param, ctx)
        return seconds


class Words(click.ParamType[Sequence[str]]):
    """A command line in one option."""

    name = "command"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Sequence[str]:
        """Return its words, at least one."""
        try:
            words = shlex.split(value)
        except ValueError as error:
            self.fail(f"must be a command line, but {error}: {value!r}", param, ctx)
        if not words:
            self.fail("must be a command line, but is empty", param, ctx)
        return words


experiment_file = click.argument(
    "file", type=click.Path(allow_dash=True), help="an experiment in YAML; - reads standard input"
)


def read(file: str) -> "tuple[str, Experiment]":
    """Return the text of an experiment's file, or of standard input, and the experiment.

    Raises:
        NotFound: there is no such file.
        Unusable: it cannot be read.
        InvalidExperiment: it breaks rules.
    """
    from distillery_operator.resource import yaml_files

    if file != STANDARD_INPUT:
        text = yaml_files.read_text(Path(file))
    elif sys.stdin is None:
        raise NotFound("standard input is closed")
    else:
        text = yaml_files.decoded(sys.stdin.buffer.read(yaml_files.SIZE_LIMIT + 1), called(file))
    return text, yaml_files.parse_experiment(text, called(file))


def called(file: str) -> str:
    """Return what messages call a file."""
    return "standard input" if file == STANDARD_INPUT else file


def database() -> str:
    """Return the URL of the studies' database."""
    found = os.environ.get(DATABASE, "")
    if not found and (file := os.environ.get(f"{DATABASE}_FILE")):
        try:
            found = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise Unusable(
                f"{DATABASE}_FILE names {file}, which cannot be read: {error}"
            ) from error
    if not found:
        raise NotFound(
            f"the environment variable {DATABASE} must have the URL of the studies' database, such"
            " as postgresql://user:password@host/name, or sqlite:////folder on a volume; or"
            f" {DATABASE}_FILE must name a file that has it"
        )
    return found


def lack(extra: str, package: str) -> str:
    """Say what has to be installed before an extra can be used; nothing if it is there."""
    if importlib.util.find_spec(package):
        return ""
    return f"it needs {package}, which pip install 'distillery-operator[{extra}]' brings"


def free(*ports: int) -> None:
    """See to it that a server can listen on ports.

    Raises:
        Unusable: another one does, or this user may not.
    """
    for port in ports:
        with socket.socket() as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listening.bind(("0.0.0.0", port))
            except OSError as error:
                raise Unusable(f"nothing can listen on port {port}: {error.strerror}") from error
