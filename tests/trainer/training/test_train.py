"""Whole trials on tiny real models: in this process, and as the processes that a cluster starts."""

import http.client
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file

from distillery_contract import metrics, wire
from distillery_contract import request as requests
from distillery_contract.parameters import PARAMETERS
from distillery_contract.wire import Exit
from distillery_operator.local import runner
from distillery_operator.local.fork_server import ForkServer
from distillery_operator.measurements import exposition
from distillery_trainer import devices, hyperparameters, stages
from distillery_trainer.devices import Precision
from distillery_trainer.evaluation import evaluate
from distillery_trainer.preparation import prepare
from distillery_trainer.reporting.telemetry import Telemetry
from distillery_trainer.stop import Stop, StoppedError
from distillery_trainer.students import building, sources
from distillery_trainer.training import checkpoint, history, train, writer
from distillery_trainer.training.step import Stepper

SHORT = {
    "epochs": 1.0,
    "evaluations": 2,
    "learning_rate": 1e-3,
    "per_device_train_batch_size": 16,
    "n_layers": 2,
}

Make = Callable[..., requests.Request]


@pytest.fixture(scope="session")
def base(
    tiny_teacher: Path,
    tiny_distilbert: Path,
    tiny_squad_files: tuple[Path, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> requests.Request:
    """A request whose data are prepared."""
    training, validation = map(str, tiny_squad_files)
    data = requests.Data(None, training, validation, max_length=96, stride=16, max_query_length=24)
    request = requests.Request(
        "test",
        requests.Stage.TRAIN,
        data,
        requests.Teacher(str(tiny_teacher)),
        requests.Student(str(tiny_distilbert)),
        cache=str(tmp_path_factory.mktemp("cache")),
        output=str(tmp_path_factory.mktemp("experiment")),
    )
    prepare.prepare(request, Telemetry())
    return request


@pytest.fixture
def make(base: requests.Request, tmp_path: Path) -> Make:
    """Requests over the prepared data, each with a folder of its own below the experiment's."""

    def request(output: str = "trial", **parameters: Any) -> requests.Request:
        folder = Path(base.output) / tmp_path.name / output
        return replace(base, output=str(folder), parameters={**SHORT, **parameters})

    return request


def run(request: requests.Request) -> dict[str, Any]:
    """Train in this process; return the record."""
    train.train(request, Telemetry(), Stop())
    return result(request)


def result(request: requests.Request) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((Path(request.output) / history.NAME).read_text())
    return document


def weights(request: requests.Request) -> dict[str, torch.Tensor]:
    return load_file(Path(request.output) / "model" / "model.safetensors")


def measured(document: dict[str, Any]) -> list[Any]:
    """Return everything in a record but the time that it took."""
    return [
        (
            entry["step"],
            entry["losses"],
            {k: v for k, v in entry["metrics"].items() if k != "inference_seconds"},
        )
        for entry in document["evaluations"]
    ]


def test_a_trial_leaves_a_model_answers_and_its_history(make: Make) -> None:
    request, told = make(n_heads=2), Telemetry()
    train.train(request, told, Stop())
    folder, document = Path(request.output), result(request)
    assert document["finished"]
    assert [entry["step"] for entry in document["evaluations"]] == [3, 6]
    assert document["examples"] == 90
    last = document["evaluations"][-1]
    assert last["losses"].keys() == {"total", "hard", "soft"}
    assert set(last["metrics"]) == set(metrics.EVALUATIONS)
    predictions = json.loads((folder / "predictions.json").read_text())
    assert len(predictions) == 30
    transformers.AutoModelForQuestionAnswering.from_pretrained(folder / "model")
    text = told.exposition()
    assert f'metric="exact"}} {last["metrics"]["exact"]}' in text
    assert "distillery_trial_final 1.0" in text
    assert [p.name for p in (folder / "checkpoints").iterdir()] == ["step-00000006"]


def test_training_lowers_the_loss(make: Make) -> None:
    losses = [
        e["losses"]["total"] for e in run(make(epochs=8.0, learning_rate=5e-3))["evaluations"]
    ]
    assert losses[-1] < 0.9 * losses[0]


def test_equal_requests_give_equal_weights_and_other_seeds_others(make: Make) -> None:
    first, again, other = make("a"), make("b"), make("c", seed=1)
    records = [run(r) for r in (first, again, other)]
    assert measured(records[0]) == measured(records[1])
    assert all(torch.equal(w, weights(again)[name]) for name, w in weights(first).items())
    assert measured(records[0]) != measured(records[2])


EFFECTS: dict[str, dict[str, Any]] = {
    "initialization": {"initialization": "Scratch"},
    "n_layers": {"n_layers": 1},
    "layer_selection": {"layer_selection": "First"},
    "n_heads": {"n_heads": 2},
    "pruning_seed": {"n_heads": 2, "pruning_seed": 7},
    "hidden_size": {"initialization": "Scratch", "hidden_size": 16},
    "initializer_range": {"initialization": "Scratch", "initializer_range": 0.3},
    "dropout": {"dropout": 0.3},
    "attention_dropout": {"attention_dropout": 0.3},
    "qa_dropout": {"qa_dropout": 0.3},
    "alpha_ce": {"alpha_ce": 0.9},
    "temperature": {"temperature": 5.0},
    "alpha_relation": {"alpha_relation": 1.0},
    "learning_rate": {"learning_rate": 2e-3},
    "warm_up_steps": {"warm_up_steps": 2},
    "beta_1": {"beta_1": 0.8},
    "beta_2": {"beta_2": 0.9},
    "adam_epsilon": {"adam_epsilon": 1e-3},
    "weight_decay": {"weight_decay": 0.5},
    "max_grad_norm": {"max_grad_norm": 0.01, "adam_epsilon": 1e-3},
    "epochs": {"epochs": 1.5},
    "per_device_train_batch_size": {"per_device_train_batch_size": 8},
    "gradient_accumulation_steps": {"gradient_accumulation_steps": 2},
    "evaluations": {"evaluations": 3},
    "seed": {"seed": 7},
}
"""A change of each hyperparameter that training must show; two have tests of their own."""


def test_the_table_of_effects_is_complete() -> None:
    assert EFFECTS.keys() | {"per_device_eval_batch_size", "compile"} == PARAMETERS.keys()


@pytest.mark.parametrize("name", EFFECTS)
def test_every_hyperparameter_changes_the_training(name: str, make: Make) -> None:
    changed = EFFECTS[name]
    without = {k: v for k, v in changed.items() if k != name}
    before, after = (make(o, **p) for o, p in (("a", without), ("b", changed)))
    assert measured(run(before)) != measured(run(after))


def test_the_evaluation_batch_size_is_that_of_the_passes(make: Make) -> None:
    sizes: list[int] = []

    def note(module: torch.nn.Module, inputs: tuple[torch.Tensor], output: Any) -> None:
        words = isinstance(module, torch.nn.Embedding) and module.num_embeddings > 128
        if words and not module.training:
            sizes.append(len(inputs[0]))

    hook = torch.nn.modules.module.register_module_forward_hook(note)
    try:
        run(make(per_device_eval_batch_size=7, evaluations=1))
    finally:
        hook.remove()
    assert sizes == [7, 7, 7, 7, 2]


@pytest.mark.filterwarnings("ignore")  # of torch's compiler, about itself
@pytest.mark.long
def test_a_compiled_student_learns_the_same(make: Make) -> None:
    still: dict[str, Any] = dict.fromkeys(("dropout", "attention_dropout", "qa_dropout"), 0.0)
    still |= {"n_layers": 1, "epochs": 0.2, "evaluations": 1}
    plain = run(make("a", **still))
    torch._dynamo.utils.counters.clear()
    compiled = run(make("b", **still, compile=True))
    assert torch._dynamo.utils.counters["frames"]["ok"] > 0
    losses = [[e["losses"]["total"] for e in d["evaluations"]] for d in (plain, compiled)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_accumulated_batches_make_the_step_of_one_large_batch(make: Make) -> None:
    still = dict.fromkeys(("dropout", "attention_dropout", "qa_dropout"), 0.0)
    prepared = prepare.open_prepared(make())
    found = []
    for group in ([[5, 9, 30, 2, 77]], [[5, 9], [30], [2, 77]]):
        asked = make(**still)
        values = hyperparameters.resolve(asked)
        stepper = Stepper(building.student(asked, values), prepared, values)
        losses = stepper.take(group, 1e-3)
        found.append((losses, stepper.student.get_parameter("qa_outputs.weight").detach()))
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-6)


def test_the_stored_logits_are_those_of_the_teacher_in_the_right_places(make: Make) -> None:
    """A student equal to its teacher has no soft loss, but for the half precision of the store.

    It computes in fp32, as the teacher did.
    """
    still = dict.fromkeys(("dropout", "attention_dropout", "qa_dropout"), 0.0)
    asked = make(**still, n_layers=3, alpha_relation=1.0)
    values, prepared = hyperparameters.resolve(asked), prepare.open_prepared(asked)
    teacher = sources.load(str(asked.teacher.model))  # type: ignore[union-attr]
    student = building.student(asked, values)
    stepper = Stepper(student, prepared, values, teacher, precision=Precision.FP32)
    losses = dict(zip(stepper.parts, stepper.take([[3, 88, 40]], 0.0).tolist(), strict=True))
    assert losses["hard"] > 1
    assert abs(losses["soft"]) < 1e-5
    assert abs(losses["relation"]) < 1e-6


def test_weight_decay_leaves_biases_and_norms_alone(make: Make) -> None:
    asked = make(weight_decay=0.1)
    values = hyperparameters.resolve(asked)
    stepper = Stepper(building.student(asked, values), prepare.open_prepared(asked), values)
    decayed, spared = stepper.optimizer.param_groups
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.1, 0.0)
    assert all(p.ndim == 2 for p in decayed["params"])
    assert all(p.ndim == 1 for p in spared["params"])


def test_the_last_relations_of_a_narrower_student_of_another_family_are_taught(make: Make) -> None:
    asked = make(initialization="Pretrained", n_heads=3, alpha_relation=1.0)
    losses = [e["losses"]["relation"] for e in run(asked)["evaluations"]]
    assert all(loss > 0 for loss in losses)


def test_a_loss_that_is_no_number_ends_the_trial_with_its_step(make: Make) -> None:
    """Without memory of earlier squares, AdamW divides by the gradient of one batch, here by 0."""
    wild = {"learning_rate": 1.0, "max_grad_norm": 0.0, "beta_2": 0.0, "adam_epsilon": 1e-16}
    with pytest.raises(train.DivergedError, match=r"losses must be finite, but .* at step=\d+"):
        run(make(**wild, epochs=20.0))


def test_a_weight_that_is_no_number_is_named(make: Make) -> None:
    asked = make()
    student: Any = building.student(asked, hyperparameters.resolve(asked))
    train._check_weights(student, 3)
    with torch.no_grad():
        student.qa_outputs.bias[1] = float("inf")
    with pytest.raises(train.DivergedError, match=r"qa_outputs.bias is not at step=3"):
        train._check_weights(student, 3)


def test_a_finished_trial_is_reported_again_without_its_data(make: Make, tmp_path: Path) -> None:
    request, told = make(), Telemetry()
    document = run(request)
    again = replace(request, attempt=2)
    (Path(request.output) / "model" / "model.safetensors").unlink()
    train.train(again, told, Stop())
    assert result(again) == document
    text = told.exposition()
    assert "distillery_trial_final 1.0" in text
    assert f'metric="exact"}} {document["evaluations"][-1]["metrics"]["exact"]}' in text


def test_what_another_request_left_in_the_folder_is_put_aside_whole(make: Make) -> None:
    """A study that was restored from a backup gave the trial's number to another suggestion."""
    other, mine = make(epochs=4.0, evaluations=4), make(epochs=4.0, evaluations=4, dropout=0.3)
    alone = make("alone", epochs=4.0, evaluations=4, dropout=0.3)
    output = Path(mine.output)
    stopped_at(other, 12)
    stopped_at(mine, 12)
    kept = output / "discarded-1"
    assert sorted(p.name for p in kept.iterdir()) == ["checkpoints", "history.json"]
    assert measured(run(replace(mine, attempt=2))) == measured(run(alone))
    assert not (output / "discarded-2").exists()
    assert run(other)["finished"]
    found = sorted(p.name for p in (output / "discarded-2").iterdir())
    assert found == ["checkpoints", "history.json", "model", "predictions.json"]


def test_checkpoints_without_a_record_are_put_aside_too(make: Make) -> None:
    other, mine = make(epochs=4.0, evaluations=4), make(epochs=4.0, evaluations=4, dropout=0.3)
    stopped_at(other, 12)
    (Path(mine.output) / "history.json").unlink()  # a process was killed while it put aside
    stopped_at(mine, 6)
    names = [p.name for p in (Path(mine.output) / "discarded-1" / "checkpoints").iterdir()]
    assert "step-00000012" in names


class Process:
    """A trainer's process with its files in a folder."""

    def __init__(self, request: requests.Request, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.final, self._port = folder / "final", folder / "port"
        self.final.write_text("")
        self._port.unlink(missing_ok=True)
        own = {
            wire.REQUEST: request.to_json(),
            wire.METRICS_PORT: "0",
            wire.METRICS_PORT_FILE: str(self._port),
            wire.TERMINATION_MESSAGE: str(self.final),
            wire.CHECKPOINT_SECONDS: "0.1",
            "OMP_NUM_THREADS": "1",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "distillery_trainer"],
            env={**os.environ, **own},
            stderr=subprocess.PIPE,
            text=True,
        )

    def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            assert self.process.poll() is None, self.process.communicate()[1]
            time.sleep(0.002)

    def scrape(self) -> str:
        if not self._port.exists():
            return ""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port.read_text()}/metrics") as a:
                text: str = a.read().decode()
                return text
        except (OSError, http.client.HTTPException):  # it has just ended
            return ""

    def end(self) -> tuple[int, str]:
        """Return the exit code and what it wrote to stderr."""
        _, log = self.process.communicate()
        return self.process.returncode, log

    def outcome(self) -> str:
        [line] = [x for x in self.final.read_text().splitlines() if "outcome_info" in x]
        return line


Start = Callable[[requests.Request], Process]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts processes, and ends those that a failing test leaves running."""
    started: list[Process] = []

    def run_process(request: requests.Request) -> Process:
        started.append(Process(request, tmp_path / "process"))
        return started[-1]

    yield run_process
    for one in started:
        one.process.kill()
        one.process.wait()
        assert one.process.stderr
        one.process.stderr.close()


@pytest.mark.long
def test_a_trial_stopped_and_killed_on_its_way_ends_like_one_never_stopped(
    make: Make, start: Start
) -> None:
    """SIGTERM at one random step, SIGKILL at a later one, dropout on: equal to the last bit."""
    asked = {"epochs": 60.0, "evaluations": 12, "alpha_relation": 0.5, "n_heads": 3}
    unbroken, broken = make("unbroken", **asked), make("broken", **asked)
    folder = Path(broken.output) / "checkpoints"

    def steps() -> int:
        """Return the step of the newest checkpoint."""
        return max((int(p.name[5:13]) for p in folder.glob("step-*") if p.is_dir()), default=0)

    first = start(broken)
    target = random.randrange(31, 120)  # after the first evaluation
    first.until(lambda: steps() >= target)
    first.process.send_signal(signal.SIGTERM)
    code, log = first.end()
    assert code == Exit.INTERRUPTED, log
    assert 'reason="Interrupted"' in first.outcome()
    stopped = steps()
    assert target <= stopped < 360

    second = start(replace(broken, attempt=2))
    second.until(lambda: steps() > stopped)
    second.process.kill()
    assert second.end()[0] == -signal.SIGKILL
    assert not result(broken)["finished"]

    third = start(replace(broken, attempt=3))
    code, log = third.end()
    assert code == Exit.OK, log
    assert "training from step 0 " not in log
    assert measured(result(broken)) == measured(run(unbroken))
    expected = weights(unbroken)
    assert all(torch.equal(weight, expected[name]) for name, weight in weights(broken).items())
    assert result(broken)["examples"] == result(unbroken)["examples"]


@pytest.mark.long
def test_a_forked_trial_learns_the_same_and_imports_nothing_large(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")  # writes imports to where errors go
    forks = ForkServer(runner.FORK_SERVER, tmp_path, os.environ, tmp_path / "server.log")
    alone, forked = make("alone", alpha_relation=0.5), make("forked", alpha_relation=0.5)
    own = {
        wire.REQUEST: forked.to_json(),
        wire.METRICS_PORT: "0",
        wire.TERMINATION_MESSAGE: str(tmp_path / "final"),
    }
    try:
        with (tmp_path / "lock").open("w") as lock:
            forks.start(tmp_path, own, lock.fileno())
        expected = run(alone)
        while not (tmp_path / "exit").exists():
            time.sleep(0.01)
    finally:
        forks.end()
    log = (tmp_path / "log.txt").read_text(encoding="utf-8")
    assert (tmp_path / "exit").read_text() == "0\n", log
    assert measured(result(forked)) == measured(expected)
    assert all(torch.equal(w, weights(alone)[name]) for name, w in weights(forked).items())
    imported = [x.split("|")[2].strip() for x in log.splitlines() if x.startswith("import time:")]
    assert not [name for name in imported if name.partition(".")[0] in ("torch", "transformers")]
    assert "import time:" in (tmp_path / "server.log").read_text(encoding="utf-8")


@pytest.mark.long
def test_what_forks_trials_has_one_thread_and_leaves_gpus_alone() -> None:
    looks = (
        "import os, torch\n"
        "asked = []\n"
        "torch._C._cuda_getDeviceCount = lambda: asked.append(1) or 0\n"
        "from distillery_trainer import fork_server\n"
        "import importlib\n"
        "for name in fork_server.PRELOADED: importlib.import_module(name)\n"
        "print(len(os.listdir('/proc/self/task')), asked, torch.cuda.is_initialized())\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", looks],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert said.stdout == "1 [] False\n"


@pytest.mark.long
def test_a_process_serves_its_metrics_while_it_trains(make: Make, start: Start) -> None:
    process = start(make(epochs=80.0, evaluations=2))
    seen = []
    while process.process.poll() is None:
        seen.append(process.scrape())
        time.sleep(0.02)
    code, log = process.end()
    assert code == Exit.OK, log
    early = [text for text in seen if text and "distillery_trial_metric{" not in text]
    late = [text for text in seen if 'distillery_trial_metric{metric="exact"}' in text]
    assert early
    assert late
    for name in ("learning_rate", "examples_per_second", "progress_ratio", "checkpoint_step"):
        assert f"\ndistillery_trial_{name} " in late[-1]
    assert late[-1].count("distillery_trial_loss{") == 3
    final = process.final.read_text()
    assert final.endswith("# EOF\n")
    assert "distillery_trial_final 1.0" in final
    assert 'reason="Completed"' in process.outcome()
    assert len(final.encode()) <= wire.TERMINATION_MESSAGE_LIMIT


@pytest.mark.long
def test_a_process_that_is_killed_leaves_its_last_evaluation(make: Make, start: Start) -> None:
    request = make(epochs=80.0, evaluations=12)
    process = start(request)
    process.until(lambda: "distillery_trial_metric{" in process.final.read_text())
    process.process.kill()
    assert process.end()[0] == -signal.SIGKILL
    report = exposition.parse(process.final.read_text(), exposition.TERMINATION_MESSAGE)
    assert report is not None
    assert (report.final, report.reason, report.message) == (False, "", "")
    [evaluation] = [e for e in result(request)["evaluations"] if e["step"] == report.metric_step]
    assert report.metrics == evaluation["metrics"]
    assert 0 < (report.metric_step or 0) <= (report.step or 0) < (report.steps or 0)


def outcome_of(request: requests.Request) -> tuple[Exit, str]:
    return stages.run(request, Telemetry(), Stop())


def test_a_trainer_says_what_it_is_before_it_fails_or_succeeds(make: Make) -> None:
    telemetry = Telemetry()
    code, _ = stages.run(make("d", n_heads=5), telemetry, Stop())
    assert code == Exit.INFEASIBLE
    report = exposition.parse(telemetry.exposition(), exposition.TERMINATION_MESSAGE)
    assert report is not None
    names = ("distillery-trainer", "torch", "transformers")
    assert report.trainer.releases == tuple(
        metadata.version(name).partition("+")[0] for name in names
    )
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    assert report.trainer.device == device


def test_failures_have_their_exit_code_and_a_sentence(make: Make, tmp_path: Path) -> None:
    elsewhere = replace(make("a"), cache=str(tmp_path / "nowhere"))
    gone = replace(make("b"), teacher=requests.Teacher(str(tmp_path / "gone")))
    no_source = make("c", initialization="Pretrained")
    no_source = replace(no_source, student=requests.Student())
    wild = {"learning_rate": 1.0, "max_grad_norm": 0.0, "beta_2": 0.0, "adam_epsilon": 1e-16}
    for request, code, sentence in (
        (make("d", n_heads=5), Exit.INFEASIBLE, "n_heads <= 4 must hold"),
        (elsewhere, Exit.BAD_DATA, "the stage prepare must have made"),
        (gone, Exit.BAD_DATA, "the stage prepare must have pinned the models"),
        (no_source, Exit.BAD_REQUEST, "Pretrained needs student.model"),
        (make("e", **wild, epochs=20.0), Exit.DIVERGED, "must be finite"),
    ):
        found, message = outcome_of(request)
        assert (found, sentence in message) == (code, True), message


def test_a_student_that_no_memory_holds_is_out_of_memory(
    make: Make, tiny_distilbert: Path, tmp_path: Path
) -> None:
    """Its tokenizer is that of the prepared data, its vocabulary has 16 terabytes of weights."""
    shutil.copytree(tiny_distilbert, tmp_path / "huge")
    config = json.loads((tmp_path / "huge" / "config.json").read_text())
    config |= {"vocab_size": 10**9, "dim": 4096}
    (tmp_path / "huge" / "config.json").write_text(json.dumps(config))
    (tmp_path / "huge" / "model.safetensors").unlink()  # a shape needs none
    request = replace(
        make(initialization="Scratch"), student=requests.Student(str(tmp_path / "huge"))
    )
    prepare.prepare(replace(request, output=str(Path(request.output).parent)), Telemetry())
    code, message = outcome_of(request)
    assert code == Exit.OUT_OF_MEMORY
    assert "can't allocate memory" in message


def test_a_trial_trains_with_the_models_that_were_pinned(
    make: Make, tmp_path: Path, tiny_teacher: Path
) -> None:
    """An overwritten teacher, or none any more, changes no weight, and the trial says so."""
    copy = shutil.copytree(tiny_teacher, tmp_path / "copy")
    weights_, notes = [], []
    for name in ("before", "after"):
        asked = make(name, epochs=0.5, evaluations=1, alpha_relation=0.5)
        asked = replace(asked, teacher=requests.Teacher(str(copy)))
        if name == "before":
            prepare.prepare(replace(asked, output=str(Path(asked.output).parent)), Telemetry())
        told = Telemetry()
        train.train(asked, told, Stop())
        told.outcome(wire.Reason.COMPLETED, "train is done")
        weights_.append(weights(asked))
        notes.append("has changed since the experiment was prepared" in told.exposition())
        model = sources.load(str(copy))
        model.get_parameter("qa_outputs.weight").data += 1.0
        model.save_pretrained(copy)
    assert all(torch.equal(weight, weights_[1][name]) for name, weight in weights_[0].items())
    assert notes == [False, True]


def test_every_fault_of_a_request_is_told_at_once(make: Make, start: Start) -> None:
    process = start(make(n_heads=0, epsilon=1.0))
    code, log = process.end()
    assert code == Exit.BAD_REQUEST
    for sentence in ("n_heads: must lie in [1, 64]", "epsilon: no trainer consumes"):
        assert sentence in log
        assert sentence in process.outcome()
    assert 'reason="BadRequest"' in process.outcome()


def stopped_at(request: requests.Request, step: int) -> None:
    """Train in this process until the checkpoint of a step is there."""
    folder = Path(request.output) / "checkpoints" / f"step-{step:08d}"

    class AtStep(Stop):
        @property
        def requested(self) -> bool:
            return folder.is_dir()

        @requested.setter
        def requested(self, value: bool) -> None: ...

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(wire.CHECKPOINT_SECONDS, "0")
        with pytest.raises(StoppedError):
            train.train(request, Telemetry(), AtStep())


def test_a_training_whose_checkpoints_are_written_beside_it_resumes_bit_for_bit(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU. A stop waits for the checkpoint, and so does the end."""
    request = make("resumed", epochs=4.0, dropout=0.2)
    plain = run(make("plain", epochs=4.0, dropout=0.2))
    monkeypatch.setattr(writer, "beside", lambda device: True)
    monkeypatch.setenv(wire.CHECKPOINT_SECONDS, "0")
    stopped_at(request, 12)
    folder, told = Path(request.output) / "checkpoints", Telemetry()
    train.train(request, told, Stop())
    document = result(request)
    assert measured(document) == measured(plain)
    assert [path.name for path in folder.iterdir()] == ["step-00000024"]
    assert told.registry.get_sample_value("distillery_trial_checkpoint_step") == 24


def test_a_training_is_looked_at_on_a_part_and_its_result_is_on_all_questions(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = make("plain", epochs=2.0, evaluations=3)
    part = replace(plain, data=replace(plain.data, interim_share=0.3))
    part = replace(part, output=str(Path(plain.output).with_name("part")), rungs=(0.11,))
    told = Telemetry()
    prepare.prepare(replace(part, output=str(Path(part.output).parent)), told)
    told.outcome(wire.Reason.COMPLETED, "prepared")
    said = "evaluations before the end of a training are on 9 of the 30 validation questions"
    assert said in told.exposition()
    expected = measured(run(plain))
    seen: list[list[str]] = []
    measure = evaluate.measure

    def noting(*arguments: Any) -> Any:
        seen.append([question.id for question in arguments[1].questions])
        return measure(*arguments)

    monkeypatch.setattr(evaluate, "measure", noting)
    found = measured(run(part))
    assert [len(ids) for ids in seen] == [9, 9, 9, 30]
    assert seen[0] == seen[1] == seen[2]
    assert set(seen[0]) < set(seen[3])
    assert found[-1][2] == expected[-1][2]
    right = [values["exact"] * 9 / 100 for _, _, values in found[:3]]
    assert right == pytest.approx([round(number) for number in right])


def test_measuring_at_rungs_changes_nothing_else_of_a_training(make: Make) -> None:
    plain = make("plain", epochs=4.0, dropout=0.2)
    judged = replace(make("judged", epochs=4.0, dropout=0.2), rungs=(0.11, 0.33))
    last, document = run(plain)["evaluations"][-1], run(judged)
    assert [entry["step"] for entry in document["evaluations"]] == [3, 8, 12, 24]
    found = measured(document)[-1]
    assert (found[0], found[2]) == measured({"evaluations": [last]})[0][::2]
    expected = weights(plain)
    assert all(torch.equal(weight, expected[name]) for name, weight in weights(judged).items())


def test_rungs_that_lie_behind_a_checkpoint_are_not_measured_at_a_later_step(make: Make) -> None:
    request = make(epochs=4.0)
    stopped_at(request, 12)
    document = run(replace(request, rungs=(0.11, 0.33, 0.6), attempt=2))
    assert [entry["step"] for entry in document["evaluations"]] == [12, 14, 24]
    assert all(entry["losses"] for entry in document["evaluations"])


def test_another_floor_of_the_teacher_breaks_no_resume(make: Make) -> None:
    def with_floor(exact: float, attempt: int) -> requests.Request:
        asked = make(epochs=4.0)
        assert asked.teacher
        teacher = replace(asked.teacher, floor={"exact": exact})
        return replace(asked, teacher=teacher, attempt=attempt)

    stopped_at(with_floor(1.0, 1), 12)
    document = run(with_floor(2.0, 2))
    assert document["finished"]
    assert run(with_floor(3.0, 3)) == document


def test_a_trial_of_an_earlier_release_is_resumed_although_the_floor_was_in_its_identity(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = make(epochs=4.0)
    assert asked.teacher
    asked = replace(asked, teacher=replace(asked.teacher, floor={"exact": 1.0}))
    with monkeypatch.context() as patch:
        patch.setattr(history, "identity", history.earlier_identity)
        stopped_at(asked, 12)
    assert history.identity(asked) != history.earlier_identity(asked)
    assert run(replace(asked, attempt=2))["evaluations"][0]["step"] == 12


def test_a_trial_that_other_versions_began_says_so(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(request: requests.Request) -> str:
        told = Telemetry()
        train.train(request, told, Stop())
        told.outcome(wire.Reason.COMPLETED, "train is done")
        report = exposition.parse(told.exposition(), "TerminationMessage")
        assert report is not None
        return report.message

    same, other = make("same", epochs=4.0), make("other", epochs=4.0)
    stopped_at(same, 12)
    assert said(same) == "train is done"
    with monkeypatch.context() as patch:
        patch.setattr("importlib.metadata.version", lambda package: f"{package} 0")
        stopped_at(other, 12)
    assert "resumed at step 12 by another trainer: trainer distillery-trainer 0 before" in said(
        other
    )


def test_steps_in_bf16_learn_what_steps_in_fp32_learn(make: Make) -> None:
    still = dict.fromkeys(("dropout", "attention_dropout", "qa_dropout"), 0.0)
    asked = make(**still)
    values, prepared = hyperparameters.resolve(asked), prepare.open_prepared(asked)
    half, full = (
        Stepper(building.student(asked, values), prepared, values, precision=precision)
        for precision in (Precision.BF16, Precision.FP32)
    )
    assert not half.scaler.is_enabled()
    losses = [s.take([[5, 9, 30, 2]], 1e-3) for s in (half, full)]
    torch.testing.assert_close(*losses, rtol=1e-2, atol=1e-2)
    assert not torch.equal(*losses)
    weights_ = [s.student.get_parameter("qa_outputs.weight").detach() for s in (half, full)]
    torch.testing.assert_close(*weights_, rtol=1e-2, atol=2e-3)


def test_in_fp16_gradients_are_scaled_and_steps_that_overflow_are_left_out(make: Make) -> None:
    still = dict.fromkeys(("dropout", "attention_dropout", "qa_dropout"), 0.0)
    asked = make(**still)
    values, prepared = hyperparameters.resolve(asked), prepare.open_prepared(asked)

    def stepper(precision: Precision) -> Stepper:
        return Stepper(building.student(asked, values), prepared, values, precision=precision)

    half, full = stepper(Precision.FP16), stepper(Precision.FP32)
    assert (half.scaler.is_enabled(), full.scaler.is_enabled()) == (True, False)
    half.scaler.load_state_dict({**half.scaler.state_dict(), "scale": 2.0**10})
    losses = [s.take([[5, 9, 30, 2]], 1e-3) for s in (half, full)]
    torch.testing.assert_close(*losses, rtol=1e-2, atol=1e-2)
    weights_ = [s.student.get_parameter("qa_outputs.weight").detach().clone() for s in (half, full)]
    torch.testing.assert_close(*weights_, rtol=1e-2, atol=2e-3)
    half.scaler.load_state_dict({**half.scaler.state_dict(), "scale": 2.0**120})
    half.take([[5, 9]], 1e-3)  # the scaled gradients are infinite
    assert torch.equal(half.student.get_parameter("qa_outputs.weight"), weights_[0])
    assert half.scaler.get_scale() == 2.0**119


def test_the_scale_of_gradients_is_in_the_checkpoint(make: Make, tmp_path: Path) -> None:
    asked = make()
    values, prepared = hyperparameters.resolve(asked), prepare.open_prepared(asked)

    def stepper() -> Stepper:
        student = building.student(asked, values)
        return Stepper(student, prepared, values, precision=Precision.FP16)

    first, second = stepper(), stepper()
    first.take([[5, 9]], 1e-3)
    first.scaler.load_state_dict({**first.scaler.state_dict(), "scale": 2.0**7})
    kept = checkpoint.Checkpoints(tmp_path / "checkpoints", "mine")
    now = checkpoint.Progress(1)
    kept.write(checkpoint.State.of(now, first.student, first.optimizer, first.scaler))
    kept.restore(second.student, second.optimizer, second.scaler)
    assert second.scaler.state_dict() == first.scaler.state_dict()


def test_teacher_and_students_are_timed_in_the_same_precision(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    measure = evaluate.measure

    def noting(*arguments: Any) -> Any:
        seen.append(torch.get_float32_matmul_precision())
        return measure(*arguments)

    monkeypatch.setattr(evaluate, "measure", noting)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        prepare.prepare(replace(make(), cache=str(tmp_path / "cache")), Telemetry())
    finally:
        torch.set_float32_matmul_precision(before)
    run(make(evaluations=1))
    assert seen == ["high", "high"]


def test_a_student_is_looked_at_as_it_trains_and_its_result_is_measured_in_fp32(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "of_cpu", lambda _: Precision.BF16)
    request = make(evaluations=3)
    seen: list[torch.dtype] = []
    build = building.student

    def watched(*arguments: Any) -> Any:
        model = build(*arguments)
        matrix = model.get_submodule("bert.encoder.layer.0.intermediate.dense")

        def note(module: torch.nn.Module, inputs: object, output: torch.Tensor) -> None:
            if not module.training:
                seen.append(output.dtype)

        matrix.register_forward_hook(note)
        return model

    monkeypatch.setattr(building, "student", watched)
    document = run(request)
    passes = len(seen) // 3
    assert seen == [torch.bfloat16] * (2 * passes) + [torch.float32] * passes
    # What plain transformers loads gives this result.
    prepared = prepare.open_prepared(request)
    model = transformers.AutoModelForQuestionAnswering.from_pretrained(
        Path(request.output) / "model"
    )
    found = evaluate.evaluate(model, prepared, 32, "cpu")
    last = document["evaluations"][-1]["metrics"]
    assert {**found, "inference_seconds": 0} == {**last, "inference_seconds": 0}


def test_a_trial_goes_on_from_the_checkpoint_of_the_one_that_it_continues(make: Make) -> None:
    """To the last bit, with the evaluations before and under rungs of its own."""
    unbroken, stopped = (
        make("unbroken", epochs=4.0, evaluations=4),
        make("stopped", epochs=4.0, evaluations=4),
    )
    stopped_at(replace(stopped, trial=3, rungs=(0.25,)), 6)
    further = replace(make("further", epochs=4.0, evaluations=4), trial=9, continues=stopped.output)
    stopped_at(further, 12)  # from here on it has a checkpoint of its own
    shutil.rmtree(stopped.output)
    assert measured(run(replace(further, attempt=2))) == measured(run(unbroken))
    expected = weights(unbroken)
    assert all(torch.equal(weight, expected[name]) for name, weight in weights(further).items())


def test_a_trial_stopped_within_an_evaluation_tells_its_steps_with_that_evaluation(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(*_: object) -> None:
        raise StoppedError("a signal came")

    request = replace(make("broken-off"), rungs=(0.25,))
    with monkeypatch.context() as patch:
        patch.setattr("distillery_trainer.evaluation.evaluate.measure", cut_off)
        with pytest.raises(StoppedError):
            run(request)
    told: list[tuple[Any, ...]] = []

    class Noting(Telemetry):
        def evaluation(self, values: Mapping[str, float], step: int) -> None:
            super().evaluation(values, step)
            report = exposition.parse(self.exposition(), "Scrape")
            assert report is not None
            told.append((report.metric_step, report.step, report.steps))

    train.train(replace(request, attempt=2), Noting(), Stop())
    steps = told[-1][2]
    assert told[0] == (told[0][0], told[0][0], steps)
    assert told[0][0] < told[-1][0] == steps


def test_checkpoints_are_written_by_time_and_at_the_end(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[int] = []
    write = checkpoint.Checkpoints.write

    def noting(own: checkpoint.Checkpoints, state: checkpoint.State) -> None:
        saved.append(state.progress.step)
        write(own, state)

    monkeypatch.setattr(checkpoint.Checkpoints, "write", noting)
    run(make("rarely"))
    assert saved == [6]
    monkeypatch.setenv(wire.CHECKPOINT_SECONDS, "0")
    run(make("often"))
    assert saved == [6, 1, 2, 3, 4, 5, 6, 6]
    monkeypatch.setenv(wire.CHECKPOINT_SECONDS, "often")
    with pytest.raises(requests.RequestError, match="must be a number of seconds, but got 'often'"):
        run(make("never"))


@pytest.mark.parametrize("moment", ["measure", "note"])
def test_a_trial_stopped_at_an_evaluation_has_its_steps_in_a_checkpoint(
    make: Make, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    stop, request = Stop(), make("stopped")
    inner = getattr(train._Run, moment)

    def signalled(*given: Any) -> Any:
        stop.requested = True
        if moment == "measure":  # where a signal raises
            raise StoppedError("a signal came")
        return inner(*given)

    with monkeypatch.context() as patch:
        patch.setattr(train._Run, moment, signalled)
        with pytest.raises(StoppedError, match="checkpoint"):
            train.train(request, Telemetry(), stop)
    folder = Path(request.output) / "checkpoints"
    assert [p.name for p in folder.glob("step-????????")] == ["step-00000003"]
    assert measured(run(replace(request, attempt=2))) == measured(run(make("whole")))


def test_a_trial_does_not_continue_another_training(make: Make) -> None:
    stopped_at(make("stopped", epochs=4.0, evaluations=4), 6)
    other = make("other", epochs=4.0, evaluations=4, learning_rate=2e-3)
    with pytest.raises(checkpoint.MismatchError, match="same request"):
        run(replace(other, continues=make("stopped").output))


def test_a_damaged_checkpoint_gives_way_to_the_one_before(make: Make) -> None:
    request = make(epochs=4.0, evaluations=4)
    document = run(request)
    broken = make("broken", epochs=4.0, evaluations=4)
    folder = Path(broken.output) / "checkpoints"

    stopped_at(broken, 18)
    assert sorted(p.name for p in folder.iterdir()) == ["step-00000017", "step-00000018"]
    damaged = folder / "step-00000018" / "optimizer.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-100])
    assert measured(run(broken)) == measured(document)


def test_a_checkpoint_of_other_data_is_refused(make: Make, tmp_path: Path) -> None:
    request = make()
    asked = hyperparameters.resolve(request)
    stepper = Stepper(building.student(request, asked), prepare.open_prepared(request), asked)
    folder = tmp_path / "checkpoints"
    mine = checkpoint.Checkpoints(folder, "mine")
    now = checkpoint.Progress(step=3)
    mine.write(checkpoint.State.of(now, stepper.student, stepper.optimizer))
    found = mine.restore(stepper.student, stepper.optimizer)
    assert found == checkpoint.Progress(step=3)
    with pytest.raises(checkpoint.MismatchError, match="same request, data and teacher"):
        checkpoint.Checkpoints(folder, "yours").restore(stepper.student, stepper.optimizer)
