"""How much faster a student learns here than in a plain loop in the manner of the original script.

    python bench/trainer.py [--width 256] [--rounds 4] [--relation] [--fp32]

Both sides train a 6-layer student of the same 12-layer teacher on windows of SQuAD's lengths
(mean about 165 tokens, from 40 to 384), batch 8, dropout 0.1. The plain loop pads to 384, runs the
teacher at every step, and uses torch's dropout, eager attention and an AdamW that goes parameter by
parameter, all in fp32. Ours is the trainer's own step: length buckets, stored logits, SDPA, cheap
dropout, fused AdamW, in the precision that the trainer chooses: bf16 where GPU or CPU has units for
it. ``--fp32`` measures what it does where they have none. Rounds of both alternate; costs are CPU
seconds of one thread, or wall seconds on a GPU, where a pass over all windows goes before that
records the CUDA graphs, as a training does once. A second part shows that both compute the same
losses where they compute the same thing: one batch, no dropout, padding masked, fp32.

A third part adds up a whole trial, from its start to its model: one epoch, and 4 evaluations on as
many windows. The plain loop starts as a process, evaluates padded to 384, and saves weights and
optimiser at each evaluation. Ours starts as a fork, as ``distillery run`` does (on a GPU as a
process, as in a pod), and saves once here, as it does within a minute. Its last evaluation is in
fp32, those before in the precision of its steps. A further figure is of a trial whose evaluations
before the last one are on a quarter of the windows (``data.interimShare: 0.25``).

The share of the device's peak is the number of multiplications and additions that the matrices of
our steps need, without padding, by those that a product of two large matrices does in the same
time.

The last line is a JSON object with ``speedup``, ``trial_speedup`` and the seconds of each part.
"""

import argparse
import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import torch
import transformers
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from distillery_contract import request as requests
from distillery_contract.parameters import Hyperparameters
from distillery_trainer import devices, hyperparameters
from distillery_trainer.data import batches
from distillery_trainer.data.batches import Batch
from distillery_trainer.data.prepared import Prepared
from distillery_trainer.data.windows import Windows
from distillery_trainer.devices import Precision
from distillery_trainer.evaluation import evaluate
from distillery_trainer.students import building, sources
from distillery_trainer.training import loss, schedule
from distillery_trainer.training.checkpoint import Checkpoints, Progress, State
from distillery_trainer.training.step import Stepper

LENGTH: Final = 384
BATCH: Final = 8
VOCABULARY: Final = 8000
EVALUATIONS: Final = 4
DEVICE: Final = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def main() -> None:
    """Measure, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=256, help="hidden size of both models")
    parser.add_argument("--rounds", type=int, default=4, help="alternations of the two sides")
    parser.add_argument("--relation", action="store_true", help="measure the relation loss, too")
    parser.add_argument("--fp32", action="store_true", help="compute ours in fp32 everywhere")
    arguments = parser.parse_args()
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    torch.set_num_threads(1)
    precision = Precision.FP32 if arguments.fp32 else devices.precision(DEVICE)
    with tempfile.TemporaryDirectory() as folder:
        run(Path(folder), arguments.width, arguments.rounds, arguments.relation, precision)


def run(folder: Path, width: int, rounds: int, relation: bool, precision: Precision) -> None:
    """Compare both sides on a teacher of a width."""
    prepared, request = make(folder, width)
    agreement = agree(prepared, request)
    plan = schedule.plan(prepared.train.lengths(), hyperparameters.resolve(request))
    steps = np.array_split(range(plan.steps), rounds)
    values = hyperparameters.resolve(request)
    plain, stepper = plain_steps(prepared, request), our_stepper(prepared, request, precision)
    ours = steps_of(stepper, prepared, values)
    spent: dict[str, list[float]] = {"plain": [], "ours": []}
    plain(), ours(0)  # the first of each allocates
    first = {}
    if DEVICE.type == "cuda":
        cost = seconds(functools.partial(each, ours, range(plan.steps)))
        first = {"recording_pass_seconds": round(cost, 2)}
    for number, part in enumerate(steps, 1):
        spent["plain"].append(seconds(lambda: [plain() for _ in range(2)]) / (2 * BATCH))
        spent["ours"].append(seconds(functools.partial(each, ours, part)) / (len(part) * BATCH))
        shown = {side: f"{costs[-1]:.4f}" for side, costs in spent.items()}
        print(f"round {number}, seconds per example: {shown}", flush=True)
    costs = {side: float(np.mean(each_round)) for side, each_round in spent.items()}
    examples = plan.steps * BATCH
    whole = trial(folder, prepared, request, stepper) | {
        "step": [cost * examples for cost in costs.values()]
    }
    sums = [sum(both) for both in zip(*whole.values(), strict=True)]
    print(f"a trial of {examples} windows, {EVALUATIONS} evaluations: seconds of plain and ours")
    for name, both in {**whole, "in all": sums}.items():
        print(
            f"  {name:12}"
            + "".join(
                f"{cost:9.2f} ({cost / total:4.0%})" for cost, total in zip(both, sums, strict=True)
            )
        )
    spared = sums[1] - (EVALUATIONS - 1) * spared_by_quarter(prepared, stepper)
    print(
        f"with interimShare 0.25, ours takes {spared:.2f} s: {sums[0] / spared:.2f} times as fast"
    )
    share = operations(prepared, request) / costs["ours"] / peak(precision)
    print(f"a step reaches {share:.0%} of the device's peak in {precision}")
    result = {
        "share_of_peak": round(share, 3),
        "precision": str(precision),
        "speedup": round(costs["plain"] / costs["ours"], 2),
        "trial_speedup": round(sums[0] / sums[1], 2),
        "trial_speedup_with_interim_quarter": round(sums[0] / spared, 2),
        "trial_seconds": {name: [round(cost, 3) for cost in both] for name, both in whole.items()},
        "speedup_by_round": [round(a / b, 2) for a, b in zip(*spent.values(), strict=True)],
        **{f"{side}_seconds_per_example": round(cost, 5) for side, cost in costs.items()},
        **first,
        **agreement,
        "width": width,
        "device": DEVICE.type,
    }
    if relation:
        asked = replace(request, parameters={**request.parameters, "alpha_relation": 1.0})
        stepper = our_stepper(prepared, asked, precision)
        third = steps_of(stepper, prepared, hyperparameters.resolve(asked))
        cost = seconds(functools.partial(each, third, range(plan.steps))) / (plan.steps * BATCH)
        result["relation_seconds_per_example"] = round(cost, 5)
    print(json.dumps(result))


def make(folder: Path, width: int) -> tuple[Prepared, requests.Request]:
    """Write a random teacher, make windows of SQuAD's lengths, store its logits on them."""
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=width,
        num_hidden_layers=12,
        num_attention_heads=max(4, width // 64),
        intermediate_size=4 * width,
        initializer_range=0.05,  # wider than BERT's, so that logits tell windows apart
    )
    teacher: Any = transformers.BertForQuestionAnswering(config)
    teacher.save_pretrained(folder / "teacher")
    windows = random_windows(batches.POOL * BATCH)
    logits = evaluate.logits(teacher.to(DEVICE), windows, BATCH, 0, DEVICE)
    prepared = Prepared(
        key="bench",
        folder=folder,
        train=windows,
        validation=windows,
        questions=[],
        start=logits[0].astype(np.float16),
        end=logits[1].astype(np.float16),
        teacher_metrics={},
        data=requests.Data(train="-", validation="-"),
        tokenizer=folder,
        pad=0,
    )
    request = requests.Request(
        "bench",
        requests.Stage.TRAIN,
        prepared.data,
        requests.Teacher(str(folder / "teacher")),
        requests.Student(),
        cache="-",
        output="-",
        parameters={"n_layers": 6, "per_device_train_batch_size": BATCH, "epochs": 1.0},
    )
    return prepared, request


def each(step: Callable[[int], object], numbers: Iterable[int]) -> None:
    """Take steps."""
    for number in numbers:
        step(number)


def random_windows(count: int) -> Windows:
    """Return random windows whose lengths are spread as SQuAD's are."""
    random = np.random.default_rng(0)
    lengths = np.clip(random.lognormal(np.log(155), 0.36, count), 40, LENGTH).astype(np.int64)
    print(f"{count} windows, {lengths.mean():.1f} tokens in the mean, {lengths.max()} at most")
    rows = np.concatenate([[0], np.cumsum(lengths)])
    context = np.stack([np.full(count, 15), lengths - 1], axis=1).astype(np.int32)
    start = random.integers(15, lengths - 4) * random.integers(0, 2, count)
    return Windows(
        rows=rows,
        input_ids=random.integers(5, VOCABULARY, rows[-1]).astype(np.int32),
        context=context,
        first=np.zeros(count, np.int32),
        span=np.stack([start, np.where(start > 0, start + 3, 0)], axis=1).astype(np.int32),
        question=np.arange(count, dtype=np.int32),
        offsets=np.zeros((rows[-1], 2), np.int32),
    )


def trial(
    folder: Path, prepared: Prepared, request: requests.Request, stepper: Stepper
) -> dict[str, list[float]]:
    """Return what a trial costs besides its steps, in the plain loop and here."""
    values = hyperparameters.resolve(request)
    assert request.teacher is not None
    loads = "import sys, transformers as t; t.BertForQuestionAnswering.from_pretrained(sys.argv[1])"
    process = seconds_of_process([sys.executable, "-c", loads, request.teacher.model])
    forked = DEVICE.type == "cpu"
    start = functools.partial(our_stepper, prepared, request, stepper.precision)
    starts = seconds_of_fork(start) if forked else process
    student = plain_models(request, values)[0]
    evaluation = seconds(functools.partial(plain_evaluation, student, prepared))
    result = seconds_of_evaluation(stepper.student, prepared.validation, Precision.FP32)
    before = seconds_of_evaluation(stepper.student, prepared.validation, stepper.precision)
    state = {"model": stepper.student.state_dict(), "optimizer": stepper.optimizer.state_dict()}
    saving = seconds(lambda: torch.save(state, folder / "plain.pt"))
    kept = Checkpoints(folder / "checkpoints", "bench")
    now = State.of(Progress(1), stepper.student, stepper.optimizer)
    saves = seconds(lambda: kept.write(now))
    return {
        "start-up": [process, starts],
        "evaluation": [EVALUATIONS * evaluation, result + (EVALUATIONS - 1) * before],
        "checkpoint": [EVALUATIONS * saving, saves],
    }


def seconds_of_evaluation(student: Any, windows: Windows, precision: Precision) -> float:
    """Return what it costs the trainer to run a model over windows, as :func:`seconds`."""
    batch = Hyperparameters().per_device_eval_batch_size
    return seconds(lambda: evaluate.logits(student, windows, batch, 0, DEVICE, precision))


def spared_by_quarter(prepared: Prepared, stepper: Stepper) -> float:
    """Return how much less an evaluation costs on a quarter of the questions."""
    windows = prepared.validation
    quarter = windows.of_questions(range(0, len(windows), 4))  # each window is of a question
    whole, part = (
        seconds_of_evaluation(stepper.student, some, stepper.precision)
        for some in (windows, quarter)
    )
    return whole - part


def plain_evaluation(student: torch.nn.Module, prepared: Prepared) -> None:
    """Run a model over the validation windows, padded to the full length, in their order."""
    student.eval()
    with torch.no_grad():
        for numbers in np.array_split(
            range(len(prepared.validation)), len(prepared.validation) // BATCH
        ):
            student(**padded(prepared, numbers.tolist()).inputs(student)).start_logits.tolist()


def seconds_of_process(command: list[str]) -> float:
    """Return what a process costs, as :func:`seconds`."""
    return seconds(lambda: subprocess.run(command, check=True, capture_output=True))


def seconds_of_fork(work: Callable[[], object]) -> float:
    """Return the CPU seconds of a fork of this process and of its work there."""

    def fork() -> None:
        child = os.fork()
        if child == 0:
            torch.set_num_threads(1)  # OpenMP would wait for threads that no fork has
            work()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0

    return seconds(fork)


def operations(prepared: Prepared, request: requests.Request) -> float:
    """Return the multiplications and additions of the matrices of our step, for one example.

    They are counted on a CPU, where no batch is padded to a length that a GPU has recorded.
    """
    values = hyperparameters.resolve(request)
    stepper = Stepper(building.student(request, values), prepared, values)
    lengths = prepared.train.lengths()
    spread = np.argsort(lengths)[BATCH // 2 :: len(lengths) // BATCH].tolist()
    with FlopCounterMode(display=False) as counter:
        stepper.take([[number] for number in spread], 0.0)
    return float(counter.get_total_flops()) / len(spread)


def peak(precision: Precision) -> float:
    """Return the multiplications and additions that a large product of matrices does a second."""
    side = 4096 if DEVICE.type == "cpu" else 8192
    left, right = (torch.randn(side, side, device=DEVICE, dtype=precision.dtype) for _ in range(2))
    return 2 * side**3 / min(seconds(lambda: left @ right) for _ in range(3))


def our_stepper(prepared: Prepared, request: requests.Request, precision: Precision) -> Stepper:
    """Return what takes the trainer's own steps."""
    values = hyperparameters.resolve(request)
    student: Any = building.student(request, values)
    teacher: Any = None
    if values.alpha_relation and request.teacher:
        teacher = sources.load(request.teacher.model)
        teacher.to(DEVICE)
    return Stepper(student.to(DEVICE), prepared, values, teacher, precision=precision)


def steps_of(
    stepper: Stepper, prepared: Prepared, values: Hyperparameters
) -> Callable[[int], torch.Tensor]:
    """Return the trainer's own step."""
    plan = schedule.plan(prepared.train.lengths(), values)
    return lambda step: stepper.take(plan.group(step), plan.learning_rate(step))


def plain_steps(prepared: Prepared, request: requests.Request) -> Callable[[], None]:
    """Return a step in the manner of the original script, on windows in random order."""
    values = hyperparameters.resolve(request)
    student, teacher = plain_models(request, values)
    student.train()
    optimizer = torch.optim.AdamW(student.parameters(), lr=values.learning_rate, foreach=False)
    numbers = shuffled(len(prepared.train))

    def step() -> None:
        batch = padded(prepared, next(numbers))
        inputs = batch.inputs(student)
        output = student(**inputs, start_positions=batch.start, end_positions=batch.end)
        with torch.no_grad():
            taught = teacher(**inputs)
        pairs = [(output[i], taught[i - 1]) for i in (1, 2)]
        soft = sum(divergence(s, t, values.temperature) for s, t in pairs) / 2
        total = values.alpha_ce * soft + (1 - values.alpha_ce) * output.loss
        total.backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), values.max_grad_norm)
        optimizer.step()
        student.zero_grad()
        total.item()

    return step


def plain_models(request: requests.Request, values: Hyperparameters) -> tuple[Any, Any]:
    """Return student and teacher with eager attention."""
    assert request.teacher is not None
    student: Any = building.student(request, values)
    teacher: Any = sources.load(request.teacher.model)
    for network in (student, teacher):
        network.set_attn_implementation("eager")
        for name, module in list(network.named_modules()):
            if isinstance(module, torch.nn.Dropout):
                network.set_submodule(name, torch.nn.Dropout(module.p).train(module.training))
        network.to(DEVICE)
    return student, teacher


def divergence(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return the original script's loss against logits: padding takes part in it."""
    log_student = functional.log_softmax(student / temperature, dim=-1)
    target = functional.softmax(teacher / temperature, dim=-1)
    return functional.kl_div(log_student, target, reduction="batchmean") * temperature**2


def shuffled(count: int) -> Iterator[list[int]]:
    """Yield batches of random windows without end."""
    random = np.random.default_rng(1)
    while True:
        yield random.choice(count, BATCH, replace=False).tolist()


def padded(prepared: Prepared, numbers: list[int]) -> Batch:
    """Return a batch padded to the full length."""
    batch = batches.collate(prepared.train, numbers, prepared.pad)
    missing = (0, LENGTH - batch.input_ids.shape[1])
    wide: dict[str, Any] = {
        name: functional.pad(getattr(batch, name), missing)
        for name in ("input_ids", "attention_mask", "token_type_ids", "mask")
    }
    return replace(batch, **wide).to(DEVICE)


def agree(prepared: Prepared, request: requests.Request) -> dict[str, float]:
    """Return the losses of both sides on one batch without dropout, and how far they differ.

    Raises:
        AssertionError: they differ by more than rounding.
    """
    still = dict.fromkeys(("dropout", "attention_dropout", "qa_dropout", "learning_rate"), 0.0)
    asked = replace(request, parameters={**request.parameters, **still})
    values, numbers = hyperparameters.resolve(asked), next(shuffled(len(prepared.train)))
    batch = padded(prepared, numbers)
    student, teacher = plain_models(asked, values)
    with torch.no_grad():
        output, taught = (net(**batch.inputs(net)) for net in (student.eval(), teacher))
    pairs = [torch.stack([x.start_logits, x.end_logits]) for x in (output, taught)]
    soft = float(loss.soft(pairs[0], pairs[1], batch.mask, values.temperature))
    hard = float(loss.hard(pairs[0][0], pairs[0][1], batch.mask, batch.start, batch.end))
    again: Any = building.student(asked, values)
    stepper = Stepper(
        again.to(DEVICE), prepared, values, precision=Precision.FP32
    )  # as the plain loop
    ours = dict(zip(stepper.parts, stepper.take([numbers], 0.0).tolist(), strict=True))
    found = {
        "hard_plain": hard,
        "hard_ours": ours["hard"],
        "hard_difference": abs(ours["hard"] / hard - 1),
        "soft_plain": soft,
        "soft_ours": ours["soft"],
        "soft_difference": abs(ours["soft"] / soft - 1),
    }
    print("one batch, no dropout:", {name: f"{value:.7g}" for name, value in found.items()})
    assert found["hard_difference"] < 1e-5, found
    assert found["soft_difference"] < 2e-3, found  # the stored logits have half precision
    return found


def seconds(work: Callable[[], object]) -> float:
    """Return what work costs: CPU seconds, or wall seconds on a GPU."""
    if DEVICE.type == "cpu":
        began = sum(os.times()[:4])  # of this process and of those that it has waited for
        work()
        return sum(os.times()[:4]) - began
    torch.cuda.synchronize()
    began = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
