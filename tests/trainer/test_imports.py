"""What a stage does not need is not imported: an import takes seconds, and each trial pays it."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from distillery_contract import request as requests
from distillery_contract import wire
from distillery_contract.request import Request, Stage
from distillery_contract.wire import Exit

NEEDLESS = {
    "datasets",  # for the hub and for Parquet: 1.6 s
    "pyarrow",
    "pandas",
    "torch.utils.tensorboard",
    "transformers.trainer",  # our training is our own
    "accelerate",
    "sklearn",
    "optuna",  # the operator's
    "kopf",
    "kubernetes",
    "pydantic",
    "sqlalchemy",
}


@pytest.fixture
def asked(tmp_path: Path, tiny_teacher: Path, tiny_squad_files: tuple[Path, Path]) -> Request:
    train, validation = map(str, tiny_squad_files)
    return Request(
        "test",
        Stage.DESCRIBE,
        requests.Data(train=train, validation=validation, max_length=96, stride=16),
        requests.Teacher(str(tiny_teacher)),
        requests.Student(),
        cache=str(tmp_path / "cache"),
        output=str(tmp_path / "experiment"),
        parameters={"n_layers": 1, "epochs": 0.2, "evaluations": 1},
    )


def imported(asked: Request) -> set[str]:
    """Run a stage; return the modules that it imports, found or not."""
    own = {
        wire.REQUEST: asked.to_json(),
        wire.METRICS_PORT: "0",
        wire.TERMINATION_MESSAGE: os.devnull,
    }
    command = [sys.executable, "-X", "importtime", "-m", "distillery_trainer"]
    done = subprocess.run(
        command, env={**os.environ, **own}, capture_output=True, text=True, check=False
    )
    assert done.returncode == Exit.OK, done.stderr[-2000:]
    return set(re.findall(r"^import time: +\d+ \| +\d+ \| +([\w.]+)", done.stderr, re.MULTILINE))


@pytest.mark.long
def test_no_stage_imports_what_only_others_need(asked: Request) -> None:
    trial = str(Path(asked.output) / "trials" / "0")
    for stage, output in (
        (Stage.DESCRIBE, asked.output),
        (Stage.PREPARE, asked.output),
        (Stage.TRAIN, trial),
    ):
        found = imported(replace(asked, stage=stage, output=output))
        assert "torch" in found  # the log tells what is imported
        assert found & NEEDLESS == set(), stage
