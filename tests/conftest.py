"""What several tests share: small real data and models, and the oracle's environment."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

if TYPE_CHECKING:
    import transformers

    from distillery_trainer.data.questions import Question
    from support import cluster

# Read when the libraries are imported: no test reaches for the hub, and one thread is enough, for
# more threads than free cores make a step ten times slower.
os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}

# A busy machine makes single examples slow, and a test must not fail for that.
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")

ORACLE = Path(__file__).parent / "support" / "oracle"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how large the images are that this run has tried."""
    from support.cluster import images

    for image in images.seen():
        terminalreporter.write_line(f"{image.name} {image.size / 1e6:.0f} MB")


@pytest.fixture(scope="session")
def tiny_questions() -> list[Question]:
    """90 questions for training; a third is unanswerable."""
    from distillery_trainer import tiny  # imports torch, which the operator's tests can do without

    return tiny.make_questions(90, seed=1)


@pytest.fixture(scope="session")
def tiny_squad_files(
    tmp_path_factory: pytest.TempPathFactory, tiny_questions: list[Question]
) -> tuple[Path, Path]:
    """Official JSON files: ``tiny_questions`` to train on, 30 other questions to validate."""
    from distillery_trainer import tiny  # imports torch, which the operator's tests can do without

    folder = tmp_path_factory.mktemp("squad")
    train = tiny.write_squad(folder / "train.json", tiny_questions)
    return train, tiny.write_squad(folder / "validation.json", tiny.make_questions(30, seed=2))


@pytest.fixture(scope="session")
def tiny_tokenizer(
    tiny_questions: list[Question],
) -> transformers.PreTrainedTokenizerBase:
    """A lower-casing WordPiece tokenizer that knows the questions' words."""
    from distillery_trainer import tiny  # imports torch, which the operator's tests can do without

    return tiny.make_tokenizer([text for q in tiny_questions for text in (q.context, q.question)])


@pytest.fixture(scope="session")
def tiny_teacher(
    tmp_path_factory: pytest.TempPathFactory, tiny_tokenizer: transformers.PreTrainedTokenizerBase
) -> Path:
    """Folder of a BERT for question answering: 3 layers, width 32, 4 heads, 128 positions."""
    from distillery_trainer import tiny  # imports torch, which the operator's tests can do without

    return tiny.make_model(tmp_path_factory.mktemp("teacher"), "bert", tiny_tokenizer)


@pytest.fixture(scope="session")
def tiny_distilbert(
    tmp_path_factory: pytest.TempPathFactory, tiny_tokenizer: transformers.PreTrainedTokenizerBase
) -> Path:
    """Folder of a DistilBERT for question answering with the same tokenizer, 2 layers."""
    from distillery_trainer import tiny  # imports torch, which the operator's tests can do without

    return tiny.make_model(tmp_path_factory.mktemp("distilbert"), "distilbert", tiny_tokenizer)


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[cluster.Cluster]:
    """A Kubernetes without nodes, or the one of DISTILLERY_TEST_KUBECONFIG."""
    from support import cluster, clusters

    given = cluster.given()
    if given is not None:
        yield given
        return
    clusters.need(cluster.controlplane.provide)
    with cluster.ControlPlane(tmp_path_factory.mktemp("control") / "plane") as plane:
        yield plane


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[cluster.Node]:
    """A Kubernetes with a node, so that pods run."""
    from support import cluster, clusters

    clusters.need(cluster.node.provide)
    with cluster.Node(tmp_path_factory.mktemp("node") / "node") as node:
        yield node


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The volume of a node's trials, a folder of this machine that every user may write."""
    folder = tmp_path_factory.mktemp("workspace")
    for part in (folder, *folder.parents[:-1]):
        part.chmod(part.stat().st_mode | 0o055)
    folder.chmod(0o777)
    (folder / "train.json").touch()
    return folder


@pytest.fixture(scope="session")
def oracle() -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Ask transformers 4.57.6, in its own environment, what it makes of cases: see oracle/squad.py.

    The environment is built once per set of pins, outside the checkout.
    """
    try:
        python = _oracle_python()
    except (OSError, subprocess.CalledProcessError) as error:
        why = getattr(error, "stderr", None) or error
        if os.environ.get("CI") == "true":
            raise RuntimeError(
                f"the oracle's environment must be built in CI, but: {why}"
            ) from error
        pytest.skip(f"the oracle's environment cannot be built here: {why}")

    def ask(cases: dict[str, Any]) -> dict[str, Any]:
        done = subprocess.run(
            [python, ORACLE / "squad.py"],
            input=json.dumps(cases),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        answers: dict[str, Any] = json.loads(done.stdout)
        return answers

    return ask


def _oracle_python() -> Path:
    pins = ORACLE / "requirements.txt"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    name = hashlib.sha256(pins.read_bytes() + version.encode()).hexdigest()[:16]
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "distillery"
    folder, complete = base / f"oracle-{name}", base / f"oracle-{name}" / "complete"
    python = folder / "bin" / "python"
    base.mkdir(parents=True, exist_ok=True)
    with (base / f"oracle-{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several test runs may want it at once
        if not complete.exists():
            uv = shutil.which("uv") or "uv"  # `make test` puts it on PATH
            commands: list[list[str | Path]] = [
                [uv, "venv", "--clear", "--python", sys.executable, folder],
                [uv, "pip", "install", "--python", python, "--requirements", pins],
            ]
            for command in commands:
                subprocess.run(command, check=True, capture_output=True, text=True)
            complete.touch()
    return python
