"""What the command writes to may be closed, full, gone or of a poor encoding."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from distillery_operator.cli.exit_codes import Exit
from support import command_line
from support.command_line import QUICK, RESULTS, text

pytestmark = pytest.mark.long  # each line is a process, or two

DISTILLERY = f'{sys.executable} -m distillery_operator --trainer "{QUICK}"'


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with the results of a search."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QUICK_TRAINER_STEP_SECONDS", "0.001")
        return command_line.finished(tmp_path_factory.mktemp("done"), patch)


def shell(folder: Path, line: str, **environment: str) -> tuple[int, str, str]:
    """Run a line of bash, in which `distillery` and the code of the first command are known."""
    script = f'distillery() {{ {DISTILLERY} "$@"; }}; {line}'
    found = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        check=False,
        encoding="utf-8",
        errors="backslashreplace",
    )
    return found.returncode, found.stdout, found.stderr


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("distillery status >&-", Exit.DONE),
        ("distillery plan - <&-", Exit.REFUSED),
        ("distillery status > /dev/full", Exit.REFUSED),
        ("distillery --help > /dev/full", Exit.REFUSED),
        ("distillery plan tiny.yaml | head -1; exit ${PIPESTATUS[0]}", Exit.DONE),
        ("distillery report -o - | head -c 9; exit ${PIPESTATUS[0]}", Exit.DONE),
        ("distillery report -o /dev/stdout | grep -q '</html>'", Exit.DONE),
        ("cat tiny.yaml | distillery plan /dev/stdin | grep -q tries", Exit.DONE),
    ],
)
def test_a_stream_that_is_not_there_ends_in_a_sentence_or_in_nothing(
    done: Path, line: str, code: Exit
) -> None:
    found, _, err = shell(done, line)
    assert found == code, err
    assert len(err.splitlines()) == (code is Exit.REFUSED), err


def test_what_an_encoding_lacks_is_written_as_an_escape(done: Path) -> None:
    (done / "ø☃.yaml").write_bytes((done / "tiny.yaml").read_bytes())
    for encoding in ("ascii", "latin-1"):
        code, out, err = shell(done, "distillery plan *☃.yaml", PYTHONIOENCODING=encoding)
        assert code == 0, err
        assert out.startswith(r"\xf8\u2603.yaml: tiny is a valid")  # latin-1 has the first
    code, _, err = shell(done, r"distillery plan $'no\xff\e[31m.yaml'")
    assert (code, err) == (2, r"there is no experiment file no\udcff\x1b[31m.yaml" + "\n")


def test_a_run_whose_reader_is_gone_still_ends_at_its_checkpoints(tmp_path: Path) -> None:
    """As after Ctrl-C in `distillery run | tee log`, which ends tee first."""
    (tmp_path / "train.json").touch()
    (tmp_path / "tiny.yaml").write_text(text(maxTrials=4))
    with subprocess.Popen(
        [sys.executable, "-m", "distillery_operator", "--trainer", QUICK, "run", "tiny.yaml"],
        cwd=tmp_path,
        env={**os.environ, "QUICK_TRAINER_STEP_SECONDS": "0.1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.readline()
        child.stdout.close()
        while not list((tmp_path / RESULTS).glob("trials/*/ledger")):
            assert child.poll() is None, child.stderr.read()
            time.sleep(0.05)
        child.send_signal(signal.SIGINT)
        said = child.stderr.read()
    assert child.returncode == Exit.INTERRUPTED, said
    assert "Traceback" not in said
    attempts = list((tmp_path / RESULTS).glob("trials/*/attempt-*"))
    assert attempts
    assert all((attempt / "exit").exists() for attempt in attempts), "a training goes on alone"
