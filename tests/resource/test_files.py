"""Files and folders that appear whole or not at all, and reads that end."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from distillery_operator.errors import NotFound, Unusable
from distillery_operator.resource import files


def test_a_file_that_is_not_written_to_its_end_is_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        files.write(path, "new \ud800")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_writer_that_is_killed_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "status.yaml"
    path.write_text("old")
    program = """
        import os, pathlib, signal, sys
        from distillery_operator.resource import files
        sync = os.fsync
        def die(descriptor):
            sync(descriptor)
            os.kill(os.getpid(), signal.SIGKILL)
        os.fsync = die
        files.write(pathlib.Path(sys.argv[1]), "new")
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(path)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert path.read_text() == "old"


def test_a_file_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, seen = tmp_path / "status.yaml", []
    path.write_text("old")
    sync = os.fsync

    def note(descriptor: int) -> None:
        sync(descriptor)
        seen.append((os.readlink(f"/proc/self/fd/{descriptor}"), path.read_text()))

    monkeypatch.setattr(os, "fsync", note)
    files.write(path, "new")
    (part, before), (folder, after) = seen
    assert (Path(part).parent, before) == (tmp_path, "old")
    assert (Path(folder), after) == (tmp_path, "new")


def test_what_lies_beside_a_file_or_a_folder_stays(tmp_path: Path) -> None:
    others = [tmp_path / name for name in ("a.part", "a.partial", ".a.part", "b.partial")]
    for other in others:
        other.mkdir()
        (other / "mine").touch()
    files.write(tmp_path / "a", "text")
    with files.appearing(tmp_path / "b") as part:
        part.mkdir()
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        [*(o.name for o in others), "a", "b"]
    )
    assert all((other / "mine").exists() for other in others)


def test_a_link_stays_and_leads_to_the_new_text(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    target, link = tmp_path / "there" / "target", tmp_path / "link"
    link.symlink_to(target)
    files.write(link, "text")
    assert (link.is_symlink(), target.read_text()) == (True, "text")


def test_a_pipe_gets_the_text(tmp_path: Path) -> None:
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()))
    reader.start()
    files.write(pipe, "text")
    reader.join()
    assert (got, pipe.is_fifo()) == (["text"], True)


@pytest.mark.parametrize("name", ["nowhere/file", ".", "/dev/full", "file/below", "circle"])
def test_where_nothing_can_be_written_is_said(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(Unusable, match="cannot be written: "):
        files.write(tmp_path / name, "text")


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "model"

    def make(last: str) -> None:
        with files.appearing(folder) as part:
            (part / "below").mkdir(parents=True)
            (part / "below" / "weights").write_text("many")
            assert not folder.exists()
            (part / last).write_text("last")

    with pytest.raises(Unusable, match="model cannot be written: "):
        make("nowhere/last")
    assert list(folder.parent.iterdir()) == []
    make("last")
    assert (folder / "below" / "weights").read_text() == "many"
    assert list(folder.parent.iterdir()) == [folder]
    for taken in (folder, tmp_path / "link"):
        (tmp_path / "link").unlink(missing_ok=True)
        (tmp_path / "link").symlink_to("nowhere")
        with (
            pytest.raises(Unusable, match="must not exist yet, but it does"),
            files.appearing(taken),
        ):
            pass


def test_a_device_without_an_end_is_read_in_part() -> None:
    assert files.read(Path("/dev/zero"), 10) == b"\0" * 10


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("none", ".", "file/below"):
        with pytest.raises(NotFound, match="there is no file"):
            files.read(tmp_path / name, 10)
    with pytest.raises(Unusable, match="/proc/self/mem cannot be read: "):
        files.read(Path("/proc/self/mem"), 10)
