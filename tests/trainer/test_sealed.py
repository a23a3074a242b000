"""Folders that are whole or not there, whoever dies or interferes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from distillery_trainer import sealed


def fill(folder: Path) -> dict[str, Any]:
    (folder / "sub").mkdir()
    (folder / "sub" / "a").write_text("contents")
    return {"answer": 42}


def never(folder: Path) -> dict[str, Any]:
    raise AssertionError(f"{folder} was made again")


def test_a_folder_is_made_once(tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "key"
    assert sealed.about(folder) is None
    assert sealed.make(folder, fill) == {"answer": 42}
    assert sealed.make(folder, never) == sealed.about(folder) == {"answer": 42}
    assert (folder / "sub" / "a").read_text() == "contents"


def cut(folder: Path) -> None:
    (folder / "sub" / "a").write_text("content")


def lose(folder: Path) -> None:
    (folder / "sub" / "a").unlink()


def cut_manifest(folder: Path) -> None:
    text = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(text[: len(text) // 2])


def lose_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()


def other_format(folder: Path) -> None:
    document = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**document, "format": -1}))


def other_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_text("[]")


DAMAGES = [cut, lose, cut_manifest, lose_manifest, other_format, other_manifest]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_folder_is_never_used_and_made_again(tmp_path: Path, damage: Any) -> None:
    folder = tmp_path / "key"
    sealed.make(folder, fill)
    damage(folder)
    assert sealed.about(folder) is None
    sealed.make(folder, fill)
    assert sealed.about(folder) == {"answer": 42}
    assert (folder / "sub" / "a").read_text() == "contents"


def test_a_folder_under_another_name_is_foreign(tmp_path: Path) -> None:
    sealed.make(tmp_path / "key", fill)
    shutil.copytree(tmp_path / "key", tmp_path / "other")
    assert sealed.about(tmp_path / "other") is None


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> dict[str, Any]:
        (folder / "half").write_text("written")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        sealed.make(tmp_path / "key", fail)
    assert [path.name for path in tmp_path.iterdir()] == ["key.lock"]
    sealed.make(tmp_path / "key", fill)


MAKER = """
import pathlib, sys, time
from distillery_trainer import sealed
def fill(folder):
    (folder / "half").write_text("written")
    with open(sys.argv[2], "a") as file:
        file.write("begun\\n")
    time.sleep(float(sys.argv[3]))
    return {"by": "maker"}
print(sealed.make(pathlib.Path(sys.argv[1]), fill))
"""


def make_elsewhere(folder: Path, record: Path, seconds: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", MAKER, str(folder), str(record), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def wait_for(record: Path) -> None:
    deadline = time.monotonic() + 60
    while not record.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_two_processes_make_it_once_and_both_have_it(tmp_path: Path) -> None:
    record = tmp_path / "record"
    both = [make_elsewhere(tmp_path / "cache" / "key", record, 0.3) for _ in range(2)]
    assert [maker.communicate()[0] for maker in both] == ["{'by': 'maker'}\n"] * 2
    assert record.read_text() == "begun\n"


def test_what_a_killed_process_left_is_removed_and_made_again(tmp_path: Path) -> None:
    folder, record = tmp_path / "cache" / "key", tmp_path / "record"
    maker = make_elsewhere(folder, record, 600)
    wait_for(record)
    os.kill(maker.pid, signal.SIGKILL)
    maker.communicate()
    assert not folder.exists()
    assert len(list(folder.parent.glob(".key.*"))) == 1
    assert sealed.make(folder, fill) == {"answer": 42}
    assert sorted(path.name for path in folder.parent.iterdir()) == ["key", "key.lock"]
