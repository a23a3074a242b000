"""`distillery suggest` on this machine: what it refuses, what it enqueues, what completes it."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from distillery_operator.resource import yaml_files
from support import command_line
from support.command_line import QUICK, RESULTS, call, text


def test_a_suggestion_waits_with_its_reason_and_runs_once_it_may(workspace: Path) -> None:
    said = call("suggest", "tiny", "--set", "n_layers=5", "--set", "layer_selection=First")
    assert said.code == 0, said
    assert said.out.startswith("hand-")
    assert "is suggested; it waits, for all 2 trials are suggested" in said.out
    assert sorted(path.name for path in RESULTS.glob("study.db*")) == ["study.db"]
    assert call("run", "tiny.yaml").code == 0
    assert "points that you gave wait (1), so raise maxTrials" in call("status").out
    Path("tiny.yaml").write_text(text(maxTrials=3))
    ran = call("run", "tiny.yaml")
    assert ran.code == 0
    name = said.out.split()[0]
    assert f"trial 2 (suggested by hand: {name}) tries" in ran.out
    (shown,) = yaml_files.read_status(RESULTS / "status.yaml").suggestions
    assert (shown.name, shown.trial, shown.state) == (name, 2, "Completed")
    assert f"suggested by hand: {name} is Completed as trial 2" in call("status").out
    assert name in (RESULTS / "report.html").read_text()


def test_all_that_is_wrong_with_a_suggestion_is_said_at_once(workspace: Path) -> None:
    before = command_line.tree(RESULTS)
    words = ["n_layers=7", "layer_selection=Last", "temperature=3", "alpha=1", "learning_rate=nan"]
    refused = call("suggest", *(w for word in words for w in ("--set", word)), "--as", "No")
    assert refused.refused, refused
    assert refused.err.startswith("the suggestion breaks ")
    for fault in (
        "n_layers: must be a value of the search space, from 1 to 6, but got 7",
        "layer_selection: ",
        "temperature: is not in the search space, which has learning_rate, n_layers,",
        "alpha: unknown hyperparameter",
        "learning_rate: must be of type number",
        "its name: should match",
    ):
        assert f"\n{fault}" in refused.err, refused.err
    assert command_line.tree(RESULTS) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "Missing option '--set'"),
        (("--set", "n_layers", "--set", "=3"), "--set: must be NAME=VALUE, but got 'n_layers'"),
        (("--set", "n_layers=3", "--set", "n_layers=4"), "n_layers is given twice"),
        (("other", "--set", "n_layers=3"), "there is no experiment 'other'"),
    ],
)
def test_wrong_words_end_in_a_sentence(workspace: Path, words: tuple[str, ...], said: str) -> None:
    refused = call("suggest", *words)
    assert refused.refused
    assert said in refused.err


def test_a_suggestion_is_made_once_and_a_name_means_one_point(workspace: Path) -> None:
    first = ("suggest", "--set", "n_layers=5", "--as", "mine")
    assert call(*first).out.startswith("mine is suggested; it waits")
    assert call(*first).out == "mine is suggested already\n"
    other = call("suggest", "--set", "n_layers=4", "--as", "mine")
    assert other.refused
    assert "its name: mine is that of a suggestion that" in other.err


def test_without_a_study_there_is_nothing_to_suggest_to(workspace: Path) -> None:
    (RESULTS / "study.db").unlink()
    refused = call("suggest", "--set", "n_layers=5")
    assert refused.refused
    assert "there is no study of tiny in" in refused.err
    assert not (RESULTS / "study.db").exists()


@pytest.mark.parametrize(
    ("words", "begun", "completed"),
    [
        ("distillery suggest tiny --set", "l", ["learning_rate=", "layer_selection="]),
        ("distillery suggest --set", "n_", ["n_layers="]),
        (
            "distillery suggest --set",
            "layer_selection=",
            ["layer_selection=First", "layer_selection=EvenlySpaced"],
        ),
        ("distillery --workspace / suggest --set", "comp", ["compile="]),
        ("distillery --workspace / suggest --set", "compile=t", ["compile=true"]),
        ("distillery suggest", "t", ["tiny"]),
    ],
)
def test_a_shell_completes_hyperparameters_and_choices(
    workspace: Path, words: str, begun: str, completed: list[str]
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "distillery_operator"],
        env={
            **os.environ,
            "_DISTILLERY_COMPLETE": "bash_complete",
            "COMP_WORDS": f"{words} {begun}",
            "COMP_CWORD": str(len(words.split())),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [f"plain,{word}" for word in completed]


@pytest.mark.long
def test_a_search_that_runs_takes_a_suggestion_next(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("tiny.yaml").write_text(text(maxTrials=40, parallelism=1))
    monkeypatch.setenv("QUICK_TRAINER_STEP_SECONDS", "0.05")
    words = [sys.executable, "-m", "distillery_operator", "--trainer", QUICK, "run", "tiny.yaml"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as search:
        assert search.stdout is not None
        seen = [search.stdout.readline() for _ in range(4)]
        said = call("suggest", "--set", "n_layers=5", "--as", "mine")
        assert said.out == "mine is suggested; `distillery run` runs it next\n"
        deadline = time.monotonic() + 120
        while not any("(suggested by hand: mine) tries" in line for line in seen):
            assert time.monotonic() < deadline, seen
            seen.append(search.stdout.readline())
        search.terminate()
        search.stdout.read()
    assert search.returncode == 130
    tries = [line for line in seen if "tries" in line]
    assert len(tries) <= 6, seen
