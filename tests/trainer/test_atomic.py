"""Files, folders and locks, whoever dies in between."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from distillery_trainer import atomic

KILLED = """
import os, pathlib, signal, sys
from distillery_trainer import atomic
with atomic.folder(pathlib.Path(sys.argv[1])) as partial:
    (partial / "half").write_text("written")
    os.kill(os.getpid(), signal.SIGKILL)
"""

HOLDING = """
import pathlib, sys
from distillery_trainer import atomic
with atomic.locked(pathlib.Path(sys.argv[1])) as lock:
    print("held", flush=True)
    sys.stdin.read()
    pathlib.Path(sys.argv[1]).with_suffix(".ended").touch()
"""


def test_a_file_is_replaced(tmp_path: Path) -> None:
    for text in ("Zürich", "", "long" * 9999):
        atomic.file(tmp_path / "a.json", text)
        assert (tmp_path / "a.json").read_text(encoding="utf-8") == text
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_file_that_cannot_be_written_stays_as_it_was(tmp_path: Path) -> None:
    atomic.file(tmp_path / "a", "old")
    with pytest.raises(UnicodeEncodeError):
        atomic.file(tmp_path / "a", "new \ud800")
    assert (tmp_path / "a").read_text() == "old"


def test_a_folder_takes_the_place_of_another(tmp_path: Path) -> None:
    for name in ("first", "second"):
        with atomic.folder(tmp_path / "below" / "place") as partial:
            (partial / "sub").mkdir()
            (partial / "sub" / name).touch()
    assert [path.name for path in (tmp_path / "below" / "place" / "sub").iterdir()] == ["second"]
    assert (tmp_path / "below" / "place").stat().st_mode & 0o777 == 0o755


def test_a_folder_that_is_not_finished_changes_nothing(tmp_path: Path) -> None:
    with atomic.folder(tmp_path / "place") as partial:
        (partial / "old").touch()

    def fail() -> None:
        with atomic.folder(tmp_path / "place") as partial:
            (partial / "new").touch()
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == [
        "place",
        "place/old",
    ]


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    others = {".place.mine", ".place.v2.abcd.partial", "place.partial", "place.v2"}
    for name in others:
        (tmp_path / name).mkdir()
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "place")], check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == len(others) + 1
    with atomic.folder(tmp_path / "place"):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {*others, "place"}


def test_of_several_that_are_not_alone_the_first_to_end_wins(tmp_path: Path) -> None:
    with atomic.folder(tmp_path / "place", alone=False) as slow:
        (slow / "slow").touch()
        with atomic.folder(tmp_path / "place", alone=False) as fast:
            (fast / "fast").touch()
    assert [path.name for path in (tmp_path / "place").iterdir()] == ["fast"]
    assert [path.name for path in tmp_path.iterdir()] == ["place"]


def test_a_file_in_the_place_of_a_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "place").touch()
    for alone in (True, False):
        with (
            pytest.raises(OSError, match="Not a directory"),
            atomic.folder(tmp_path / "place", alone=alone),
        ):
            pass
    assert [path.name for path in tmp_path.iterdir()] == ["place"]


def test_a_lock_is_held_by_one_and_ends_with_its_process(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.lock"
    command = [sys.executable, "-c", HOLDING, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout
        assert other.stdin
        assert other.stdout.readline() == b"held\n"
        other.stdin.close()  # it ends, and only then the lock is free
        with atomic.locked(path) as descriptor:
            assert path.with_suffix(".ended").exists()
            assert os.fstat(descriptor).st_ino == path.stat().st_ino
    with atomic.locked(path):
        pass


def test_a_file_that_is_broken_off_leaves_the_one_before(tmp_path: Path) -> None:
    place = tmp_path / "file"
    atomic.file(place, "before")

    def broken_off() -> None:
        with atomic.opened(place) as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken_off()
    assert place.read_text() == "before"
