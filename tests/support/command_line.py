"""`distillery` in this process: an interpreter of its own would take a second for each call."""

import contextlib
import io
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from distillery_operator.cli.main import main
from distillery_operator.resource import yaml_files
from support import quick_trainer, worlds

QUICK = f"{sys.executable} {quick_trainer.__file__}"
RESULTS = Path("experiments/tiny")


@dataclass(frozen=True)
class Done:
    """How a call has ended, and what it has said."""

    code: int
    out: str
    err: str

    @property
    def refused(self) -> bool:
        """Tell whether it was refused with a sentence, and no traceback."""
        return self.code == 2 and self.err.strip() != "" and "Traceback" not in self.err


def call(*words: object, stdin: bytes = b"") -> Done:
    """Call the command, by the quick trainer, in the current folder."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["distillery", "--trainer", QUICK, *map(str, words)])
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main()
    for stream in (out, err):
        stream.seek(0)
    return Done(code, out.read(), err.read())


def text(**spec: Any) -> str:
    """Return the text of an experiment's file."""
    return yaml_files.dump(worlds.document(**spec))


def finished(folder: Path, patch: pytest.MonkeyPatch) -> Path:
    """Make a workspace with the results of a search of two trials, and `tiny.yaml`; return it."""
    folder.mkdir(exist_ok=True)
    (folder / "train.json").touch()
    (folder / "tiny.yaml").write_text(text(maxTrials=2))
    patch.chdir(folder)
    done = call("run", "tiny.yaml")
    assert done.code == 0, done.out + done.err
    return folder


def tree(folder: Path) -> dict[str, bytes | None]:
    """Return the files of a folder with what is in them, and its folders.

    Without those that SQLite keeps beside a database while it is open.
    """
    paths = [path for path in sorted(folder.rglob("*")) if not path.name.startswith("study.db-")]
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in paths
    }


def remove(path: Path) -> None:
    """Remove a file or a folder, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
