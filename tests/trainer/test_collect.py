"""Removing folders, as the process that a cluster starts: the real trainer and the quick one."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pytest

from distillery_contract import request as requests
from distillery_contract import wire
from distillery_contract.request import Request, Stage
from distillery_contract.wire import Exit
from distillery_operator.measurements import exposition
from support import quick_trainer

TRAINER = ("-m", "distillery_trainer")
QUICK_TRAINER = (str(quick_trainer.__file__),)


@dataclass(frozen=True)
class Ending:
    code: int
    reason: str
    message: str
    log: str


Collect = Callable[..., Ending]


@pytest.fixture
def collect(tmp_path: Path) -> Collect:
    """Runs the stage in the folder ``workspace``, and tells how it ended."""
    (tmp_path / "workspace").mkdir()
    message = tmp_path / "message"

    def run(*folders: str, trainer: tuple[str, ...] = TRAINER) -> Ending:
        order = Request(
            "test",
            Stage.COLLECT,
            requests.Data(),
            None,
            requests.Student(),
            cache="cache",
            output="experiments/test",
            remove=folders,
        )
        own = {
            wire.REQUEST: order.to_json(),
            wire.METRICS_PORT: "0",
            wire.TERMINATION_MESSAGE: str(message),
        }
        done = subprocess.run(
            [sys.executable, "-X", "importtime", *trainer],
            cwd=tmp_path / "workspace",
            env={**os.environ, **own},
            capture_output=True,
            text=True,
            check=False,
        )
        report = exposition.parse(message.read_text(), exposition.TERMINATION_MESSAGE)
        assert report is not None
        return Ending(done.returncode, report.reason, report.message, done.stderr)

    return run


def folder(path: Path) -> Path:
    """Make a folder with something in it."""
    (path / "checkpoints").mkdir(parents=True)
    (path / "checkpoints" / "weights").write_bytes(b"0" * 1000)
    return path


def names(path: Path) -> list[str]:
    return sorted(p.name for p in path.iterdir())


@pytest.mark.parametrize("trainer", [TRAINER, QUICK_TRAINER])
def test_folders_are_removed_and_missing_ones_are_fine(
    collect: Collect, tmp_path: Path, trainer: tuple[str, ...]
) -> None:
    workspace = tmp_path / "workspace"
    for name in ("trials/0", "trials/1", "trials/2"):
        folder(workspace / name)
    asked = ("trials/0", "trials/2/checkpoints", "trials/7", "gone/gone")
    first, again = collect(*asked, trainer=trainer), collect(*asked, trainer=trainer)
    assert (first.code, first.reason) == (Exit.OK, "Completed"), first.log
    assert "2 of 4 folders" in first.message
    assert "0 of 4 folders" in again.message
    assert names(workspace / "trials") == ["1", "2"]
    assert names(workspace / "trials" / "1" / "checkpoints") == ["weights"]
    assert names(workspace / "trials" / "2") == []


def test_torch_is_not_waited_for(collect: Collect) -> None:
    """Nor is another package that takes long to import: most of 0.4 s is Python's own start."""
    ending = collect("trials/0")
    assert ending.code == Exit.OK
    nothing = [sys.executable, "-X", "importtime", "-c", ""]
    before = subprocess.run(nothing, stderr=subprocess.PIPE, text=True, check=True).stderr
    found = packages(ending.log) - packages(before)
    assert found >= {"distillery_contract", "distillery_trainer"}
    assert found & metadata.packages_distributions().keys() == {"prometheus_client"}


def packages(log: str) -> set[str]:
    """Return the packages that ``-X importtime`` tells of, found or not."""
    return set(re.findall(r"^import time: +\d+ \| +\d+ \| +(\w+)", log, re.MULTILINE))


@pytest.mark.parametrize("outside", ["../kept", "trials/../../kept", "{root}/kept", "", "."])
def test_a_path_that_leaves_the_workspace_is_refused_and_nothing_removed(
    collect: Collect, tmp_path: Path, outside: str
) -> None:
    kept = folder(tmp_path / "kept")
    other = folder(tmp_path / "workspace" / "other")
    ending = collect("other", outside.format(root=tmp_path))
    assert (ending.code, ending.reason) == (Exit.BAD_REQUEST, "BadRequest")
    assert "remove must name folders below the workspace" in ending.message
    assert names(kept) == names(other) == ["checkpoints"]


def test_a_folder_behind_a_link_out_of_the_workspace_stays(
    collect: Collect, tmp_path: Path
) -> None:
    kept = folder(tmp_path / "kept")
    other = folder(tmp_path / "workspace" / "other")
    (tmp_path / "workspace" / "link").symlink_to(kept)
    ending = collect("other", "link/checkpoints")
    assert ending.code == Exit.BAD_REQUEST, ending.log
    assert f"'link/checkpoints' leads to {kept / 'checkpoints'}" in ending.message
    assert names(kept) == names(other) == ["checkpoints"]


def test_links_are_removed_and_not_followed(collect: Collect, tmp_path: Path) -> None:
    kept, workspace = folder(tmp_path / "kept"), tmp_path / "workspace"
    trial = folder(workspace / "trials" / "0")
    (trial / "data").symlink_to(kept)
    (workspace / "link").symlink_to(kept)
    (workspace / "loop").symlink_to("loop")
    (workspace / "inner").symlink_to("trials")
    ending = collect("inner/0", "link", "loop", "loop/0")
    assert ending.code == Exit.OK, ending.log
    assert "3 of 4 folders" in ending.message
    assert names(workspace) == ["inner", "trials"]
    assert names(workspace / "trials") == []
    assert (kept / "checkpoints" / "weights").stat().st_size == 1000
