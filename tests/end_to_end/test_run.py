"""The whole of it: the command, the real trainer, a teacher; a front and a model at the end."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
import transformers

from distillery_contract import rungs, size, wire
from distillery_operator.engine import requests
from distillery_operator.local.runner import Runner
from distillery_operator.resource import yaml_files
from distillery_operator.resource.status import Status
from distillery_trainer import tiny
from distillery_trainer.students import families, model_folder, sources
from support import worlds

SEARCH: dict[str, Any] = {
    "objectives": [
        {"metric": "exact", "direction": "Maximize"},
        {"metric": "parameter_count", "direction": "Minimize"},
    ],
    "constraints": [
        {"metric": "HasAns_exact", "minimum": 0},  # a model of a few steps answers little
        {"metric": "NoAns_exact", "minimum": 0},
    ],
    "parameters": [
        {"name": "learning_rate", "type": "Float", "low": 1e-4, "high": 1e-2, "log": True},
        {"name": "n_layers", "type": "Int", "low": 1, "high": 3},
        {"name": "n_heads", "type": "Int", "low": 1, "high": 8},  # the teacher has 4
    ],
    "training": {"epochs": 2, "evaluations": 2, "per_device_train_batch_size": 16},
    "baselines": [
        {"name": "pruned", "parameters": {"n_layers": 2, "n_heads": 2, "learning_rate": 1e-3}},
        {"name": "too-wide", "parameters": {"n_layers": 2, "n_heads": 8}},
    ],
    "data": {**worlds.DOCUMENT["spec"]["data"], "test": "test.json"},
    "earlyStopping": {
        "rungs": [0.11, 0.33]
    },  # named, for each costs a good part of these trainings
    "maxTrials": 4,
    "parallelism": 2,
}


def distillery(workspace: Path, *words: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "distillery_operator", *words],
        cwd=workspace,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def searched(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_squad_files: tuple[Path, Path],
    tiny_teacher: Path,
) -> tuple[Path, str]:
    """Return the workspace of a finished search, and what the command printed."""
    workspace = tmp_path_factory.mktemp("search")
    copy_inputs(workspace, tiny_squad_files, tiny_teacher)
    code, said = distillery(workspace, "run", "experiment.yaml")
    assert code == 0, said
    return workspace, said


def copy_inputs(workspace: Path, files: tuple[Path, Path], teacher: Path, **spec: Any) -> None:
    """Lay out a workspace: data, teacher, experiment."""
    workspace.mkdir(exist_ok=True)
    for name, path in zip(("train", "validation"), files, strict=True):
        (workspace / f"{name}.json").write_bytes(path.read_bytes())
    held_out = [replace(q, id=f"test {q.id}") for q in tiny.make_questions(24, seed=9)]
    tiny.write_squad(workspace / "test.json", held_out)
    (workspace / "teacher").symlink_to(teacher)
    text = yaml_files.dump(worlds.document(**{**SEARCH, **spec}))
    (workspace / "experiment.yaml").write_text(text)


def status(workspace: Path) -> Status:
    return yaml_files.read_status(workspace / "experiments" / "tiny" / "status.yaml")


def test_a_search_ends_with_a_front_of_measured_models(searched: tuple[Path, str]) -> None:
    workspace, said = searched
    found = status(workspace)
    assert found.trials.total == 4
    assert found.trials.failed == 0
    assert found.front
    for point in found.front:
        folder = workspace / str(point.model)
        student = model_folder.load(folder)
        count = sum(weights.numel() for weights in student.parameters())
        assert count == point.values["parameter_count"]
    assert "Pareto front" in said


def test_what_was_chosen_and_the_teacher_are_evaluated_on_the_test_questions(
    searched: tuple[Path, str],
) -> None:
    workspace, said = searched
    found = status(workspace)
    trials = workspace / "experiments/tiny/trials"
    for point in found.front:
        record = json.loads((trials / f"{point.trial:05d}" / "test.json").read_text())
        assert point.test == record["metrics"]
        assert point.test["parameter_count"] == point.values["parameter_count"]
        assert round(point.test["exact"] * 24 / 100, 6).is_integer()  # of 24 questions
    assert {"exact", "parameter_count"} == found.baselines[0].test.keys()
    assert found.teacher_test["parameter_count"] == found.teacher["parameter_count"]
    assert "Tested=True" in said


def test_an_impossible_shape_is_infeasible_and_cost_no_training(
    searched: tuple[Path, str],
) -> None:
    workspace, _ = searched
    recent = {trial.trial: trial for trial in status(workspace).recent_trials}
    assert recent[1].reason == "InfeasibleShape"
    assert "n_heads <= 4 must hold" in recent[1].message
    assert not (workspace / "experiments/tiny/trials/00001").exists()


def test_learning_curves_and_the_teacher_reach_study_and_status(searched: tuple[Path, str]) -> None:
    workspace, _ = searched
    found = status(workspace)
    assert found.teacher["parameter_count"] == size.student_size(
        {"teacher": families.architecture(sources.load_config(str(workspace / "teacher")))}, {}
    )
    history = json.loads((workspace / "experiments/tiny/trials/00000/history.json").read_text())
    url = f"sqlite:///{workspace}/experiments/tiny/study.db"
    stored = optuna.load_study(study_name="tiny", storage=url).get_trials()[0]
    curve, last = stored.user_attrs["curve"], history["evaluations"][-1]
    steps = curve[-1]["steps"]
    shares = SEARCH["earlyStopping"]["rungs"]
    measured = {rungs.step(share, steps) for share in shares} | {steps // 2, steps}
    assert [e["step"] for e in history["evaluations"]] == sorted(measured)  # rungs and epochs
    assert curve[-1]["step"] == last["step"]
    assert curve[-1]["metrics"]["exact"] == last["metrics"]["exact"]


def test_an_exported_model_answers_in_plain_transformers(
    searched: tuple[Path, str], tmp_path: Path
) -> None:
    workspace, _ = searched
    point = status(workspace).front[0]
    target = tmp_path / "chosen"
    code, said = distillery(workspace, "export", str(point.trial), str(target))
    assert code == 0, said
    plain = transformers.AutoModelForQuestionAnswering.from_pretrained(target)
    tokenizer = transformers.AutoTokenizer.from_pretrained(target)
    question = tiny.make_questions(1, seed=3)[0]
    encoded = tokenizer(question.question, question.context, return_tensors="pt")
    with torch.inference_mode():
        expected = model_folder.load(workspace / str(point.model))(**encoded)
        found = plain(**encoded)
    torch.testing.assert_close(found.start_logits, expected.start_logits, atol=1e-5, rtol=0)
    code, said = distillery(workspace, "export", str(point.trial), str(target))
    assert code == 2
    assert "must not exist yet" in said


def test_a_point_whose_place_is_in_doubt_is_trained_again_with_another_seed(
    tmp_path: Path, tiny_squad_files: tuple[Path, Path], tiny_teacher: Path
) -> None:
    sole = {"maxTrials": 1, "parallelism": 1, "baselines": SEARCH["baselines"][:1]}
    confirm = {"share": 0.5, "runs": 2}
    copy_inputs(tmp_path, tiny_squad_files, tiny_teacher, **sole, confirm=confirm)
    code, said = distillery(tmp_path, "run", "experiment.yaml")
    assert code == 0, said
    (point,) = status(tmp_path).front
    assert point.confirmation is not None
    (again,) = point.confirmation.runs
    assert (point.confirmation.seed, again.seed) == (42, 43)
    trial = tmp_path / "experiments/tiny/trials/00000"
    own, other = (
        json.loads((folder / "history.json").read_text())["evaluations"]
        for folder in (trial, trial / "confirm" / "seed-43")
    )
    assert own[0]["metrics"] != other[0]["metrics"], "another seed, another training"
    ends = [evaluations[-1]["metrics"]["exact"] for evaluations in (own, other)]
    assert again.values["exact"] == ends[1]
    assert point.values["exact"] == pytest.approx(sum(ends) / 2)
    assert point.metrics["exact"] == ends[0]
    assert point.model == str(trial.relative_to(tmp_path) / "model")


def kill_everything(child: subprocess.Popen[bytes], workspace: Path) -> None:
    """Kill the command, and the trainings that live on without it."""
    child.kill()
    child.wait()
    experiment = yaml_files.read_experiment(workspace / "experiment.yaml")
    for attempt in asyncio.run(Runner(workspace, experiment).list()):
        if attempt.live:
            folder = workspace / requests.output(experiment, attempt.trial)
            pid = folder / f"attempt-{attempt.number:03d}" / "pid"
            os.killpg(int(pid.read_text()), signal.SIGKILL)


def test_a_search_killed_with_its_trainings_ends_like_one_that_never_was(
    tmp_path: Path, tiny_squad_files: tuple[Path, Path], tiny_teacher: Path
) -> None:
    alone: dict[str, Any] = {"parallelism": 1, "maxTrials": 3, "baselines": SEARCH["baselines"][:1]}
    alone["training"] = {**SEARCH["training"], "epochs": 60, "evaluations": 6}
    alone["parameters"] = [*SEARCH["parameters"][:2], {**SEARCH["parameters"][2], "high": 4}]
    for name in ("whole", "killed"):
        copy_inputs(tmp_path / name, tiny_squad_files, tiny_teacher, **alone)
    code, said = distillery(tmp_path / "whole", "run", "experiment.yaml")
    assert code == 0, said
    killed = tmp_path / "killed"
    for trial in range(2):  # once each has written a checkpoint
        command = [sys.executable, "-m", "distillery_operator", "run", "experiment.yaml"]
        often = {**os.environ, wire.CHECKPOINT_SECONDS: "0.1"}
        child = subprocess.Popen(command, cwd=killed, env=often, stdout=subprocess.DEVNULL)
        checkpoints = killed / f"experiments/tiny/trials/{trial:05d}/checkpoints"
        while not list(checkpoints.glob("step-????????")):
            assert child.poll() is None
            time.sleep(0.05)
        kill_everything(child, killed)
    code, said = distillery(killed, "run", "experiment.yaml")
    assert code == 0, said
    assert [a.name for a in sorted(killed.glob("experiments/tiny/trials/00000/attempt-*"))] == [
        "attempt-001",
        "attempt-002",
    ]
    assert measured(killed) == measured(tmp_path / "whole")


def measured(workspace: Path) -> list[Any]:
    """Return what a search found, but for times."""
    url = f"sqlite:///{workspace}/experiments/tiny/study.db"
    trials = optuna.load_study(study_name="tiny", storage=url).get_trials()
    endings = [trial.user_attrs["ending"]["metrics"] for trial in trials]
    timeless = [{k: v for k, v in e.items() if k != "inference_seconds"} for e in endings]
    return [(trial.params, found) for trial, found in zip(trials, timeless, strict=True)]


def test_prepared_data_that_were_deleted_are_made_again(
    searched: tuple[Path, str], tmp_path: Path
) -> None:
    workspace = tmp_path / "again"
    shutil.copytree(searched[0], workspace, symlinks=True)
    shutil.rmtree(workspace / "cache")
    more = {"name": "one-layer", "parameters": {"n_layers": 1}}
    changes = {"maxTrials": 5, "baselines": [*SEARCH["baselines"], more]}
    text = yaml_files.dump(worlds.document(**{**SEARCH, **changes}))
    (workspace / "experiment.yaml").write_text(text)
    code, said = distillery(workspace, "run", "experiment.yaml")
    assert code == 0, said
    assert status(workspace).trials.failed == 0
    assert len(list((workspace / "experiments/tiny/prepare").glob("attempt-*"))) == 2
