"""Results on this machine, whatever else lies in the workspace."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from distillery_operator.resource import yaml_files
from distillery_operator.results import local
from support import worlds
from support.command_line import RESULTS, call, remove, text, tree

EMPTIED = ("experiment.yaml", "status.yaml", "study.db", "report.html", "lock")
"""Files of a results folder, each of which may be replaced by something else."""


@contextmanager
def as_nobody() -> Iterator[None]:
    """Go on without root's rights, for root may read and write everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def guarded(finished: Path) -> Iterator[Path]:
    """A copy of the workspace that others may look at, but not write to."""
    folder = Path(tempfile.mkdtemp())
    shutil.copytree(finished, folder, dirs_exist_ok=True)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    yield folder
    for path in [folder, *folder.rglob("*")]:
        if path.is_dir():
            path.chmod(0o755)
    shutil.rmtree(folder)


def test_a_refused_run_leaves_the_results_as_they_were(workspace: Path) -> None:
    shutil.rmtree(RESULTS / "prepare")
    failed = RESULTS / "prepare" / "attempt-001"
    failed.mkdir(parents=True)
    (failed / "request.json").touch()
    (failed / "lock").touch()
    (failed / "exit").write_text("65")
    Path("other.yaml").write_text(
        text(parameters=[{"name": "n_layers", "type": "Int", "low": 1, "high": 2}])
    )
    before = tree(RESULTS)
    refused = call("run", "other.yaml")
    assert refused.refused
    assert "made for another search space" in refused.err
    assert tree(RESULTS) == before
    assert call("report").code == 0


def test_the_copy_that_the_results_keep_can_be_run(workspace: Path) -> None:
    kept = RESULTS / "experiment.yaml"
    before = kept.read_bytes()
    done = call("run", kept)
    assert (done.code, kept.read_bytes()) == (0, before), done.err


@pytest.mark.parametrize("there", ["file", "folder", "link to nowhere", "link in a circle"])
@pytest.mark.parametrize("name", [*EMPTIED, "trials", "prepare", "."])
def test_whatever_stands_for_a_part_of_the_results_is_taken_or_named(
    workspace: Path, name: str, there: str
) -> None:
    path = RESULTS / name
    for words in (("status",), ("report",), ("export", 7, "out"), ("run", "tiny.yaml")):
        remove(path)
        match there:
            case "file":
                path.write_bytes(b"\xff\0 nothing of the kind")
            case "folder":
                path.mkdir()
            case "link to nowhere":
                path.symlink_to("/nowhere/at/all")
            case _:
                path.symlink_to(path.name)
        done = call(*words)
        assert done.code == 0 or done.refused, f"{words}: {done.err}"
        if words[0] == "status" and name == "status.yaml":
            assert "status.yaml" in done.err


def test_a_status_that_is_no_longer_one_is_derived_anew(workspace: Path) -> None:
    path = RESULTS / "status.yaml"
    before = yaml_files.read_status(path)
    path.write_bytes(path.read_bytes()[:300])
    assert call("status").refused
    assert call("run", "tiny.yaml").code == 0
    after = yaml_files.read_status(path)
    assert (after.trials, after.front, after.state) == (before.trials, before.front, before.state)


def test_a_trial_whose_own_model_is_gone_has_that_of_the_lowest_other_seed(tmp_path: Path) -> None:
    for folder in (
        *("00001/model", "00001/confirm/seed-43/model", "00002/confirm/seed-100/model"),
        *("00002/confirm/seed-44/model", "00003/confirm/seed-43/checkpoints"),
    ):
        (tmp_path / "trials" / folder).mkdir(parents=True)
    found = {
        n: str(Path(p).relative_to(tmp_path)) for n, p in local.Results(tmp_path).models().items()
    }
    assert found == {1: "trials/00001/model", 2: "trials/00002/confirm/seed-44/model"}


def test_other_files_among_the_trials_are_left_alone(workspace: Path) -> None:
    others = [
        RESULTS / "trials" / "notes" / "model",
        RESULTS / "trials" / "1" / "model",
        RESULTS / "trials" / "notes" / "attempt-001",
        RESULTS / "trials" / "00001" / "attempt-old",
        RESULTS / "prepare" / "attempt-001.bak",
        Path("experiments") / "empty",
    ]
    for other in others:
        other.mkdir(parents=True)
        (other / "mine").touch()
    (RESULTS / "trials" / "00001" / "attempt-002").touch()
    (RESULTS / "trials" / "00000").with_suffix(".txt").touch()
    kept = {path: tree(path) for path in others}
    assert "trials with one: [1]" in call("export", 7, "out").err
    assert call("run", "tiny.yaml").code == 0
    assert call("status").code == 0
    assert {path: tree(path) for path in others} == kept


def test_an_exit_code_that_is_none_counts_as_an_end_that_nobody_saw(workspace: Path) -> None:
    attempt = RESULTS / "trials" / "00001" / "attempt-001"
    (attempt / "exit").write_text("gone")
    (attempt / "termination-message").write_bytes(os.urandom(300))
    (attempt / "released").unlink(missing_ok=True)
    done = call("run", "tiny.yaml")
    assert done.code == 0, done.err


def test_a_report_of_results_without_their_study_makes_none(workspace: Path) -> None:
    before = (RESULTS / "report.html").read_bytes()
    (RESULTS / "study.db").unlink()
    done = call("report")
    assert done.refused
    assert "there is no study of tiny in" in done.err
    assert not (RESULTS / "study.db").exists()
    assert (RESULTS / "report.html").read_bytes() == before


def test_trainings_without_their_study_are_named_before_anything_waits_for_them(
    workspace: Path,
) -> None:
    """Without the study they would be suggested again, and their ends were told already."""
    shutil.copytree(RESULTS, "experiments/copied")
    document = worlds.document(maxTrials=2)
    document["metadata"]["name"] = "copied"
    Path("copied.yaml").write_text(yaml_files.dump(document))
    (RESULTS / "study.db").write_bytes(b"")
    for name in ("tiny", "copied"):
        before = tree(Path("experiments") / name)
        done = call("run", f"{name}.yaml")
        assert done.refused
        assert f"experiments/{name} has trainings, but no study of {name}" in done.err
        assert tree(Path("experiments") / name) == before


def test_a_copy_of_results_under_another_name_can_be_looked_at(workspace: Path) -> None:
    shutil.copytree(RESULTS, "experiments/copied")
    for words in (("status", "copied"), ("report", "copied", "-o", "copied.html")):
        done = call(*words)
        assert done.code == 0, done.err


def test_results_that_one_may_only_read_can_be_looked_at(
    guarded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = local.known(guarded)["tiny"]
    before = results.look(), results.studied()
    monkeypatch.chdir(guarded)
    with as_nobody():
        assert (results.look(), results.studied()) == before
        assert call("status").code == 0
        done = call("--trainer", "true", "run", "tiny.yaml")
    assert done.refused, done.err
    assert "experiments/tiny/lock: Permission denied" in done.err


def test_what_one_may_not_read_is_ignored_or_named(
    guarded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(guarded)
    monkeypatch.setenv("KUBECONFIG", str(guarded / "absent"))
    (guarded / "tiny.yaml").chmod(0)
    (guarded / RESULTS / "status.yaml").chmod(0)
    with as_nobody():
        unread = call("plan", "tiny.yaml"), call("status")
    assert [done.code for done in unread] == [2, 2]
    assert unread[0].err == "tiny.yaml cannot be read: Permission denied\n"
    assert unread[1].err == "experiments/tiny/status.yaml cannot be read: Permission denied\n"
    (guarded / RESULTS).chmod(0)
    with as_nobody():
        done = call("status")
    assert done.refused
    assert "there is no experiment in" in done.err


def test_a_report_is_whole_or_as_it_was(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = RESULTS / "report.html"
    page.write_text("old")

    def full(_: int) -> None:
        assert page.read_text() == "old"
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        done = call("report")
    assert done.refused
    assert "report.html cannot be written: No space left on device" in done.err
    assert page.read_text() == "old"
    assert not list(RESULTS.glob(".*"))
    assert call("report").code == 0
    assert page.stat().st_size > 1_000_000


@pytest.mark.parametrize("there", ["file", "folder", "link"])
def test_an_export_takes_nothing_away_that_has_its_name(workspace: Path, there: str) -> None:
    match there:
        case "file":
            Path("out").touch()
        case "folder":
            Path("out").mkdir()
        case _:
            Path("out").symlink_to("nowhere")
    before = tree(workspace)
    done = call("export", 1, "out")
    assert done.refused
    assert "out must not exist yet, but it does" in done.err
    assert tree(workspace) == before


@pytest.mark.long  # transformers is imported
def test_an_export_that_fails_leaves_all_as_it_was(workspace: Path) -> None:
    """The quick trainer's model is none that transformers loads."""
    Path("out.partial").mkdir()
    Path("out.partial", "mine").touch()
    before = tree(workspace)
    done = call("export", 1, "out")
    assert done.refused
    assert len(done.err.splitlines()) == 1
    assert tree(workspace) == before
