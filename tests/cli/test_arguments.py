"""What a person types: wrong words, files and pipes end in a sentence, a code means one thing."""

import os
import re
import shlex
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distillery_operator.cli import main as command
from distillery_operator.cli.exit_codes import MEANINGS, Exit
from distillery_operator.results import local
from support import command_line, documentation
from support.command_line import RESULTS, call, text

WORDS = (
    *("run", "plan", "status", "report", "export", "try", "dashboard", "operator", "completion"),
    *("--workspace", "--trainer", "-e", "-o", "-n", "--context", "--kubeconfig", "--cluster"),
    *("--suggestions", "--timeout-seconds", "--port", "--namespace", "--trainer-image", "--help"),
    *("", "-", ".", "/", "/dev/null", "/dev/zero", "nowhere", "tiny", "0", "-1", "1e9", "nan"),
    *("9" * 5000, "a b", "'", "\udcff", "é", "--no-such", "bash"),
)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with an experiment's file, which is the current folder."""
    monkeypatch.setenv("QUICK_TRAINER_STEP_SECONDS", "0.001")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent"))
    monkeypatch.delenv("DISTILLERY_DATABASE_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.json").touch()
    (tmp_path / "tiny.yaml").write_text(text(maxTrials=2))
    return tmp_path


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A workspace with results, which is the current folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QUICK_TRAINER_STEP_SECONDS", "0.001")
        patch.setenv("KUBECONFIG", "/nowhere/at/all")
        yield command_line.finished(tmp_path_factory.mktemp("done"), patch)


@pytest.mark.parametrize(
    "words",
    [
        ("run",),
        ("run", "none.yaml"),
        ("run", "."),
        ("run", "tiny.yaml/below"),
        ("run", "/proc/self/mem"),
        ("run", "/dev/zero"),
        ("run", "tiny.yaml", "another"),
        ("--workspace", "nowhere", "run", "tiny.yaml"),
        ("--workspace", "tiny.yaml", "status"),
        ("--trainer", "", "plan", "tiny.yaml"),
        ("--trainer", "'", "plan", "tiny.yaml"),
        ("--trainer", "no-such-trainer", "plan", "tiny.yaml"),
        ("--trainer", "no-such-trainer", "run", "tiny.yaml"),
        ("--trainer", "./tiny.yaml", "run", "tiny.yaml"),
        ("--trainer", "true", "plan", "tiny.yaml"),
        ("--trainer", "sh -c 'head -c 99 /dev/urandom >&2; exit 1'", "plan", "tiny.yaml"),
        (
            "--trainer",
            "sh -c 'head -c 99 /dev/urandom > $DISTILLERY_TERMINATION_MESSAGE'",
            "plan",
            "tiny.yaml",
        ),
        ("plan", "tiny.yaml", "--suggestions", "-1"),
        ("plan", "tiny.yaml", "--suggestions", "many"),
        ("status", "tiny", "-e", "other"),
        ("export", "first", "out"),
        ("export", "-1", "out"),
        ("export", "9" * 4000, "out"),
        ("export", "9" * 5000, "out"),
        ("try", "tiny.yaml"),
        ("try", "tiny.yaml", "--timeout-seconds", "nan"),
        ("try", "tiny.yaml", "--timeout-seconds", "0"),
        ("dashboard", "--port", "99999999"),
        ("operator",),
        ("operator", "--trainer-image", "x", "--metrics-port", "-1"),
        ("operator", "--trainer-image", "x", "--scrape-seconds", "inf"),
        ("operator", "--trainer-image", "x", "--namespace-parallelism", "0"),
        ("completion", "csh"),
        ("no-such-command",),
        ("--no-such-option",),
        (),
    ],
)
def test_wrong_words_end_in_a_sentence(workspace: Path, words: tuple[str, ...]) -> None:
    done = call(*words)
    assert done.refused, done
    assert not (workspace / "experiments").exists()
    assert not (workspace / "nowhere").exists()


def test_namespaces_are_chosen_by_names_or_by_labels() -> None:
    done = call("operator", "--trainer-image=x", "--namespace=a", "--namespace-selector=b")
    assert done.refused
    assert "--namespace and --namespace-selector exclude each other" in done.err


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=6))
def test_no_words_end_in_a_traceback(words: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DISTILLERY_DATABASE_URL", raising=False)
        patch.setenv("KUBECONFIG", "/nowhere/at/all")
        done = call(*words)
    assert done.code in (Exit.DONE, Exit.REFUSED), (words, done)
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    "content",
    ["", "[1]", "a: b", "contexts: 3\ncurrent-context: x", "\xff\0", None],
    ids=["empty", "a list", "another file", "other types", "bytes", "a folder"],
)
def test_a_kubeconfig_that_is_none_ends_in_a_sentence(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    if content is None:
        Path("config").mkdir()
    else:
        Path("config").write_bytes(content.encode("latin-1"))
    for words in (("status", "--kubeconfig", "config"), ("export", "-n", "here", "1", "out")):
        monkeypatch.setenv("KUBECONFIG", "config")
        done = call(*words)
        assert done.refused, done
        assert "there must be a kubeconfig that leads to the cluster" in done.err


def test_without_a_home_an_experiment_that_is_nowhere_is_still_told(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("KUBECONFIG")
    monkeypatch.setattr(os, "getuid", lambda: 12345678)  # a user that no list of users knows
    done = call("status", "tinny")
    assert done.refused
    assert "there is no experiment 'tinny' in" in done.err


def test_a_port_that_another_server_has_is_named(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISTILLERY_DATABASE_URL", "sqlite:////tmp")
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))
        other.listen()
        port = other.getsockname()[1]
        for words in (
            ("dashboard", f"--port={port}"),
            ("operator", "--trainer-image=x", f"--health-port={port}"),
        ):
            done = call(*words)
            assert done.refused
            assert f"nothing can listen on port {port}: Address already in use" in done.err


def test_standard_input_and_pipes_are_files_like_others(workspace: Path) -> None:
    wanted = Path("tiny.yaml").read_bytes()
    done = call("run", "-", stdin=wanted)
    assert done.code == 0, done.err
    assert (RESULTS / "experiment.yaml").read_bytes() == wanted
    os.mkfifo("pipe")
    writer = threading.Thread(target=lambda: Path("pipe").write_bytes(wanted))
    writer.start()
    done = call("run", "pipe")
    writer.join()
    assert done.code == 0, done.err
    assert (RESULTS / "experiment.yaml").read_bytes() == wanted
    done = call("plan", "-", stdin=wanted)
    assert done.out.startswith("standard input: tiny is a valid DistillationExperiment")
    done = call("plan", "-", stdin=b"a: 1")
    assert done.refused
    assert done.err.startswith("standard input breaks ")


def test_a_report_is_written_to_where_it_is_wanted(done: Path) -> None:
    assert call("report", "-o", "-").out.startswith("<!doctype html>")
    for place, why in (
        ("nowhere/page.html", "No such file or directory"),
        (".", "it is a folder"),
        ("/dev/full", "No space left on device"),
    ):
        refused = call("report", "-o", place)
        assert refused.refused
        assert refused.err == f"{place} cannot be written: {why}\n"
    assert not Path("nowhere").exists()


def test_a_broken_file_is_named_with_its_faults(workspace: Path) -> None:
    Path("broken.yaml").write_text(text(parallelism=9, foo=1))
    done = call("plan", "broken.yaml")
    assert done.refused
    assert done.err.startswith("broken.yaml breaks 2 rules:\n")
    Path("broken.yaml").write_text(text(foo=1))
    assert call("plan", "broken.yaml").err.startswith("broken.yaml breaks 1 rule:\n")


def test_one_is_the_code_of_a_search_that_has_found_nothing_and_of_nothing_else(
    workspace: Path,
) -> None:
    Path("vain.yaml").write_text(
        text(maxTrials=1, parallelism=1, constraints=[{"metric": "HasAns_exact", "minimum": 100}])
    )
    vain = call("run", "vain.yaml")
    assert (vain.code, int(Exit.NO_FEASIBLE_TRIAL)) == (1, 1)
    assert "Succeeded=False NoFeasibleTrial" in vain.out
    command_line.remove(Path("experiments"))
    Path("suspended.yaml").write_text(text(suspend=True))
    suspended = call("run", "suspended.yaml")
    assert suspended.code == Exit.DONE, "it has not ended, so nothing is found yet"


def test_a_fault_of_the_program_has_a_code_of_its_own(
    done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Path) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(local, "known", broken)
    found = call("status")
    assert (found.code, int(Exit.FAULT)) == (3, 3)
    assert "ZeroDivisionError: a bug" in found.err
    assert found.err.endswith("this is a fault of distillery itself; please report it\n")


def test_every_exit_code_is_in_the_help_and_in_the_reference() -> None:
    told = " ".join(call("--help").out.split())
    page = (documentation.ROOT / "docs" / "reference.md").read_text()
    assert set(MEANINGS) == set(Exit)
    for code, meaning in MEANINGS.items():
        assert re.search(rf" {code} +{re.escape(meaning)}", told)
        assert f"| {code} | {meaning} |" in page


def test_every_command_is_in_the_help_with_its_whole_first_sentence() -> None:
    told = "".join(call("--help").out.split())
    for name, found in command.distillery.commands.items():
        sentence = (found.help or "").split(".")[0]
        assert f"{name}{''.join(sentence.split())}." in told
        assert call(name, "-h").code == Exit.DONE


def completed(*words: str, shell: str = "bash") -> list[str]:
    """Return how a shell would complete the last of these words."""
    environment = {
        "COMP_WORDS": shlex.join(["distillery", *words]),
        "COMP_CWORD": str(len(words)),
        "_DISTILLERY_COMPLETE": f"{shell}_complete",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        done = call()
    assert done.code == 0, done.err
    return done.out.split()


def test_shells_complete_commands_options_and_experiments(done: Path) -> None:
    assert completed("st") == ["plain,status"]
    assert completed("re") == ["plain,report"]
    assert completed("export", "--kube") == ["plain,--kubeconfig"]
    assert completed("status", "t") == completed("export", "-e", "t") == ["plain,tiny"]
    os.chdir("/")
    assert completed("--workspace", str(done), "report", "t") == ["plain,tiny"]
    assert completed("status", "t") == []
    os.chdir(done)
    assert completed("status", "t", shell="zsh") == ["plain", "tiny", "_"]


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_the_script_for_a_shell_is_one_that_it_reads(shell: str) -> None:
    script = call("completion", shell).out
    assert "_DISTILLERY_COMPLETE" in script
    if shell == "bash":
        checked = subprocess.run(
            ["bash", "-c", f"{script}\ncomplete -p distillery"], capture_output=True, text=True
        )
        assert "distillery" in checked.stdout, checked.stderr


def test_a_shape_that_no_rule_allows_is_told_by_plan(workspace: Path) -> None:
    heads = {"name": "n_heads", "type": "Int", "low": 1, "high": 9}
    Path("wide.yaml").write_text(text(parameters=[heads]))
    done = call("plan", "wide.yaml")
    assert done.code == 0, done.err
    rule = "n_heads <= 6 must hold, the heads of the source model, but got 7 to 9"
    assert f"part of the space describes no student: {rule}" in done.out
