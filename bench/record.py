"""Record real learning curves of the quickstart's trainer, for bench/search.py to search over.

    python bench/record.py [--trainings N] [--into bench/data/curves.jsonl]

Trains the students of bench/data/curves.yaml on the quickstart's data and teacher, for half an
epoch and evaluated on all of its questions, one after the other in this process and on one thread,
by the trainer's own steps and evaluations. A line is added per training; run again, it goes on
where it ended.

What is trained was chosen by 203 shorter trainings, of a Sobol sequence over the same space, which
an earlier version of this script recorded into bench/data/short.jsonl.gz. The first 25
configurations are trained with four seeds each, which shows the noise: the best of each of 15 kinds
of student, and 10 others, the more the better they had ended. All the rest follow, once each. Every
round of seeds is finished before the next begins, with some of the best and of the worst first, so
that what is recorded is of use at any time.
"""

import argparse
import gzip
import json
import os
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, replace
from importlib import metadata
from pathlib import Path
from typing import Any, Final

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers

from distillery_contract.parameters import Value
from distillery_contract.request import Request, Stage
from distillery_operator.engine import requests
from distillery_operator.engine.actions import Launch
from distillery_operator.resource import yaml_files
from distillery_operator.resource.experiment import Experiment
from distillery_operator.trials.trial import Trial
from distillery_quickstart import build
from distillery_trainer import hyperparameters
from distillery_trainer.data.prepared import Prepared
from distillery_trainer.evaluation import evaluate
from distillery_trainer.preparation import prepare
from distillery_trainer.reporting.telemetry import Telemetry
from distillery_trainer.students import building, families, sources
from distillery_trainer.training import schedule
from distillery_trainer.training.step import Stepper

BENCH: Final = Path(__file__).parent
EXPERIMENT: Final = BENCH / "data" / "curves.yaml"
CURVES: Final = BENCH / "data" / "curves.jsonl"
SHORT: Final = BENCH / "data" / "short.jsonl.gz"

SEED: Final = 7
KINDS: Final = 15
"""Of so many kinds of student (layers, heads, which layers) the best is trained with every seed."""
OTHERS: Final = 10
"""So many others as well: in the order of their ends as far apart as powers of a number."""
SEEDS: Final = 4
FIRST: Final = 6
"""So many of the best come first; then, by turns, the last and the best of those left."""

NINTHS: Final = (1, 3, 9)
"""Of the nine evaluations of a training those that are made."""

KIND: Final = ("n_layers", "n_heads", "layer_selection")
SEARCHED: Final = (*KIND, "learning_rate", "alpha_ce", "temperature", "dropout")
METRICS: Final = ("exact", "f1", "HasAns_exact", "NoAns_exact")


def main() -> None:
    """Record what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trainings", type=int, help="how many in all, if not all")
    parser.add_argument("--into", type=Path, default=CURVES, help="file to add lines to")
    parser.add_argument("--workspace", type=Path, default=Path(".demo/curves"), help="for the data")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    arguments.into.parent.mkdir(parents=True, exist_ok=True)
    into = arguments.into.resolve()
    arguments.workspace.mkdir(parents=True, exist_ok=True)
    os.chdir(arguments.workspace)
    experiment = yaml_files.read_experiment(EXPERIMENT)
    prepared = ready(experiment)
    known = recorded(into)
    if not into.exists():
        add(into, {**header(experiment, prepared), "planned": len(suggestions(experiment))})
    for number, parameters in enumerate(suggestions(experiment)[: arguments.trainings]):
        if number in known:
            continue
        line = {"number": number, **train(experiment, prepared, number, parameters)}
        add(into, line)
        last = line["curve"][-1] if line["curve"] else {}
        print(f"{number}: {last} in {line['cpu_seconds']} CPU s", flush=True)


def ready(experiment: Experiment) -> Prepared:
    """Build data and teacher in the current folder, and return what the trainings share."""
    build.build(Path(), build.default_cache())
    return prepare.prepare(order(experiment, Stage.PREPARE, 0, {}), Telemetry())


def header(experiment: Experiment, prepared: Prepared) -> dict[str, Any]:
    """Return the first line of the file: what the others are."""
    config = sources.load_config(experiment.spec.teacher.model)
    return {
        "about": "Real trainings of students of the quickstart's teacher, by bench/record.py: for"
        " half an epoch, and evaluated on all of the quickstart's validation questions.",
        "answerable": sum(bool(question.answers) for question in prepared.questions),
        "unanswerable": sum(not question.answers for question in prepared.questions),
        "sources": {"teacher": asdict(families.architecture(config))},
        "teacher": {name: round(prepared.teacher_metrics[name], 2) for name in METRICS},
        "versions": {name: metadata.version(name) for name in ("torch", "transformers")},
    }


def suggestions(experiment: Experiment) -> list[dict[str, Value]]:
    """Return the hyperparameters of each training, the same at every call."""
    twins, others = chosen()
    left = deque(twins[FIRST:])
    turns = [left.popleft() if n % 2 else left.pop() for n in range(len(left))]
    found = SEEDS * (twins[:FIRST] + turns) + others
    return [
        {**experiment.spec.training, **each, "seed": SEED + number}
        for number, each in enumerate(found)
    ]


def chosen() -> tuple[list[dict[str, Value]], list[dict[str, Value]]]:
    """Return what is trained with every seed and what once, by how the short trainings ended."""
    with gzip.open(SHORT, "rt", encoding="utf-8") as file:
        _, *lines = map(json.loads, file)
    ranked: dict[str, dict[str, Value]] = {}
    for line in sorted(lines, key=lambda line: -line["curve"][-1]["exact"]):
        searched = {name: line["parameters"][name] for name in SEARCHED}
        ranked.setdefault(json.dumps(searched), searched)
    kinds: dict[tuple[Value, ...], dict[str, Value]] = {}
    for each in ranked.values():
        kinds.setdefault(tuple(each[name] for name in KIND), each)
    best = [*kinds.values()][:KINDS]
    left = [each for each in ranked.values() if each not in best]
    places = {round(len(left) ** (n / (OTHERS - 1))) - 1 for n in range(OTHERS)}
    for place in range(len(left)):  # the first ones fall together
        if len(places) == OTHERS:
            break
        places.add(place)
    others = [left[place] for place in sorted(places)]
    return best + others, [each for each in left if each not in others]


def train(
    experiment: Experiment, prepared: Prepared, number: int, parameters: dict[str, Value]
) -> dict[str, Any]:
    """Train one student; return its curve, and what it took."""
    began = time.process_time()
    request = order(experiment, Stage.TRAIN, number, parameters)
    values = hyperparameters.resolve(request)
    torch.manual_seed(values.seed)
    student: Any = building.student(request, values)
    stepper = Stepper(student, prepared, values)
    plan = schedule.plan(prepared.train.lengths(), values)
    marks = {round(plan.steps * ninth / 9) for ninth in NINTHS}
    curve: list[dict[str, float]] = []
    stepping = 0.0
    for step in range(plan.steps):
        before = time.process_time()
        losses = stepper.take(plan.group(step), plan.learning_rate(step))
        stepping += time.process_time() - before
        if not losses.isfinite().all():
            break
        if step + 1 in marks:
            metrics = evaluate.evaluate(student, prepared, values.per_device_eval_batch_size, "cpu")
            curve.append({"step": step + 1} | {n: round(metrics[n], 2) for n in METRICS})
    return {
        "parameters": parameters,
        "parameter_count": evaluate.parameter_count(student),
        "precision": str(stepper.precision),
        "steps": plan.steps,
        "training_cpu_seconds": round(stepping, 2),
        "cpu_seconds": round(time.process_time() - began, 2),
        "curve": curve,
    }


def order(
    experiment: Experiment, stage: Stage, number: int, parameters: dict[str, Value]
) -> Request:
    """Return the request of a stage."""
    trial = Trial(number, parameters) if parameters else None
    return replace(requests.order(experiment, Launch(stage, number, 1), trial), prepared=None)


def add(path: Path, line: Mapping[str, Any]) -> None:
    """Add a line to the file."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def recorded(path: Path) -> set[int]:
    """Return the numbers of the trainings that a file has; a line cut short is dropped."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    whole = [line for line in lines if line.endswith("}")]
    if len(whole) < len(lines):
        path.write_text("".join(f"{line}\n" for line in whole), encoding="utf-8")
    return {json.loads(line)["number"] for line in whole[1:]}


if __name__ == "__main__":
    main()
