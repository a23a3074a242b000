"""Made-up searches for the report's tests: a seeded generator that follows the seed's story.

Dropouts and depth decide accuracy; some suggestions collapse, diverge, do not fit or crash.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from distillery_contract.request import Stage
from distillery_contract.wire import Reason
from distillery_operator.resource.experiment import Experiment
from distillery_operator.resource.status import Status
from distillery_operator.search.importance import Importance
from distillery_operator.trials.attempt import Report
from distillery_operator.trials.observation import Observation, Preparation
from distillery_operator.trials.trial import Point, State, Trial
from support import worlds

TEACHER = {
    "exact": 74.3,
    "f1": 77.6,
    "HasAns_exact": 71.2,
    "NoAns_exact": 77.4,
    "parameter_count": 108893186.0,
    "inference_seconds": 0.0121,
}
OBJECTIVES = (
    {"metric": "exact", "direction": "Maximize", "threshold": 50},
    {"metric": "parameter_count", "direction": "Minimize", "threshold": 70000000},
    {"metric": "inference_seconds", "direction": "Minimize"},
)
PARAMETERS = (
    {"name": "learning_rate", "type": "Float", "low": 1e-6, "high": 1e-3, "log": True},
    {"name": "temperature", "type": "Float", "low": 1.0, "high": 10.0},
    {"name": "alpha_ce", "type": "Float", "low": 0.0, "high": 1.0},
    {"name": "dropout", "type": "Float", "low": 0.0, "high": 1.0},
    {"name": "attention_dropout", "type": "Float", "low": 0.0, "high": 1.0},
    {"name": "qa_dropout", "type": "Float", "low": 0.0, "high": 1.0},
    {"name": "weight_decay", "type": "Float", "low": 0.0, "high": 0.1},
    {"name": "warm_up_steps", "type": "Int", "low": 0, "high": 100},
    {"name": "n_layers", "type": "Int", "low": 1, "high": 12},
    {"name": "n_heads", "type": "Int", "low": 1, "high": 12},
    {"name": "initialization", "type": "Categorical", "choices": ["Teacher", "Pretrained"]},
)
BASELINES: dict[str, dict[str, Any]] = {
    "distilbert": {"initialization": "Pretrained", "n_layers": 6, "n_heads": 12},
    "scratch": {"initialization": "Scratch", "n_layers": 6, "n_heads": 12},
}
START = 1_790_000_000.0


def experiment(objectives: int = 2, **spec: Any) -> Experiment:
    """Return an experiment with so many objectives; ``spec`` replaces fields of its spec."""
    wanted = {
        "objectives": list(OBJECTIVES[:objectives]),
        "parameters": list(PARAMETERS),
        "baselines": [{"name": n, "parameters": p} for n, p in BASELINES.items()],
        "data": {"name": "squad_v2"},
        "teacher": {"model": "bert-base-squad2"},
        "maxTrials": 64,
    }
    return Experiment.model_validate(
        {
            "apiVersion": "distillery.dev/v1alpha1",
            "kind": "DistillationExperiment",
            "metadata": {"name": "squad2-distilbert"},
            "spec": {**wanted, **spec},
        }
    )


def suggest(number: int, seed: int = 7, evaluations: int = 12) -> Trial:
    """Return what became of the trial ``number``; the same for the same arguments."""
    dice = random.Random(f"{seed}/{number}")
    name = list(BASELINES)[number] if number < len(BASELINES) else None
    parameters = {**_sample(dice), **(BASELINES[name] if name else {})}
    if number >= 20 and dice.random() < 0.6:  # as a sampler that has learned something
        parameters["learning_rate"] = 10 ** dice.gauss(-4.3, 0.3)
        parameters["dropout"], parameters["attention_dropout"] = 0.1, 0.15 * dice.random()
        parameters["n_layers"] = dice.randint(3, 8)
    if name:
        parameters |= {"learning_rate": 5e-5, "dropout": 0.1, "attention_dropout": 0.1}
        parameters |= {"qa_dropout": 0.1, "temperature": 2.0, "alpha_ce": 0.5}
    size = 24_000_000 + parameters["n_layers"] * (4_700_000 + 200_000 * parameters["n_heads"])
    started = START + number * 1500.0
    trial = Trial(number, parameters, State.FAILED, name, parameter_count=size, started=started)
    trial = replace(trial, ended=started + 6000.0, seconds=6000.0 + 900.0 * dice.random())
    if name is None and (early := _early(dice, parameters)):
        return replace(trial, **early)
    curve = tuple(_curve(dice, parameters, evaluations))
    speed = 0.001 + 0.0009 * parameters["n_layers"] + 0.0004 * dice.random()
    metrics = {**curve[-1].metrics, "parameter_count": float(size), "inference_seconds": speed}
    model = f"results/trials/{number:05d}/model" if dice.random() < 0.6 else None
    trial = replace(trial, state=State.COMPLETED, reason=Reason.COMPLETED.value, source="Scrape")
    trial = replace(trial, metrics=metrics, curve=curve, model=model)
    return _stopped(trial) if number > 20 and number % 13 == 12 else trial


def _stopped(trial: Trial) -> Trial:
    """Return the trial as it is if it was stopped at a third of its steps."""
    begun = trial.curve[: len(trial.curve) // 3]
    return replace(
        trial,
        state=State.STOPPED,
        reason="CannotImprove",
        message="exact of 55.1 ± 1.2 can be expected, but trial 3, which is not larger, has 58",
        metrics={**begun[-1].metrics, "parameter_count": trial.metrics["parameter_count"]},
        curve=begun,
        model=None,
    )


def search(count: int, running: int = 2, seed: int = 7) -> list[Trial]:
    """Return a search of so many trials, the last ones of which still run."""
    found = [suggest(number, seed) for number in range(count - running)]
    for number in range(count - running, count):
        begun = suggest(2 + number, seed)
        half = begun.curve[: len(begun.curve) // 2]
        found.append(
            Trial(
                number=number,
                parameters=begun.parameters,
                parameter_count=begun.parameter_count,
                curve=half,
                metrics=half[-1].metrics if half else {},
                started=begun.started,
            )
        )
    return found


def observed(wanted: Experiment, trials: Sequence[Trial]) -> Status:
    """Return the status that the operator writes of these trials."""
    running = [trial.number for trial in trials if trial.state is State.RUNNING]
    seen = Observation(
        now=START + 1500.0 * len(trials),
        started=START,
        preparation=Preparation("a1b2c3", TEACHER, worlds.SOURCES, pinned=True) if trials else None,
        trials=tuple(trials),
        attempts=(),
        reports={(Stage.TRAIN, n, 1): Report("Scrape", step=4000, steps=8000) for n in running},
    )
    return worlds.status(wanted, seen, None)


def importances(objectives: int = 2) -> dict[str, Importance]:
    """Return shares as they are found: they add up to 1, and those of trials have whiskers."""
    weights = {"exact": [8, 1, 2, 6, 5, 3, 1, 0.5, 7, 2, 4]}
    weights["parameter_count"] = [0, 0, 0, 0, 0, 0, 0, 0, 20, 6, 0]
    weights["inference_seconds"] = [0.2, 0.3, 0.1, 0.3, 0.1, 0.1, 0.1, 0.1, 25, 2, 0.2]
    names = [str(p["name"]) for p in PARAMETERS]
    found = {}
    for metric, row in list(weights.items())[:objectives]:
        shares = {n: w / sum(row) for n, w in zip(names, row, strict=True)}
        whiskers = {n: (0.5 * share, 1.5 * share) for n, share in shares.items()}
        known = metric == "parameter_count"
        found[metric] = Importance(shares, {} if known else whiskers, f"Of {metric}.")
    return found


def _sample(dice: random.Random) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for parameter in PARAMETERS:
        name, low, high = (parameter.get(key) for key in ("name", "low", "high"))
        if parameter["type"] == "Categorical":
            found[str(name)] = dice.choice(["Teacher", "Pretrained"])
        elif parameter["type"] == "Int":
            found[str(name)] = dice.randint(low, high)  # type: ignore[arg-type]
        elif parameter.get("log"):
            found[str(name)] = math.exp(dice.uniform(math.log(low), math.log(high)))  # type: ignore[arg-type]
        else:
            found[str(name)] = low + (high - low) * dice.random() ** 1.4  # type: ignore[operator]
    return found


def _early(dice: random.Random, parameters: dict[str, Any]) -> dict[str, Any] | None:
    """Return how a trial ended that never came to its last evaluation."""
    if parameters["learning_rate"] > 4e-4:
        message = "the loss became nan at step 312; a lower learning_rate may help"
        points = tuple(_curve(dice, parameters, 12))[:2]
        points = (*points, Point(3000, {}, {"total": math.nan}))
        return {
            "state": State.INFEASIBLE,
            "reason": "Diverged",
            "message": message,
            "curve": points,
        }
    if dice.random() < 0.04:
        message = "the process ended with code -9; its log ends in: Killed"
        return {"state": State.FAILED, "reason": "Crashed", "message": message}
    if parameters["n_layers"] == 12 and parameters["n_heads"] > 9:
        message = "the device has 8.0 GiB, of which 12 MiB were left when 96 MiB were asked for"
        return {"state": State.INFEASIBLE, "reason": "OutOfMemory", "message": message}
    return None


def _curve(dice: random.Random, parameters: dict[str, Any], evaluations: int) -> list[Point]:
    off = abs(math.log10(parameters["learning_rate"]) + 4.3)
    harm = parameters["dropout"] + parameters["attention_dropout"] + 0.4 * parameters["qa_dropout"]
    skill = 76 - 9 * off**1.5 - 22 * max(0, harm - 0.3) - 26 / parameters["n_layers"]
    skill += 3 * (parameters["initialization"] == "Pretrained") + dice.gauss(0, 1.5)
    skill += 2 * min(3.0, parameters["temperature"] - 2) - 5
    skill -= 36 * (parameters["initialization"] == "Scratch")
    collapse = skill < 46 and parameters["initialization"] != "Scratch"
    points = []
    for i in range(1, evaluations + 1):
        share = i / evaluations
        grown = 1 - math.exp(-4 * share)
        has = max(0.0, 18 * math.exp(-9 * share) - 2) if collapse else grown * (skill - 6)
        no = 100 - has / 8 if collapse else 30 + grown * (skill - 26) + dice.gauss(0, 2)
        noise = 0.0 if collapse else dice.gauss(0, 0.8)
        has, no = min(100.0, max(0.0, has + noise)), min(100.0, max(0.0, no))
        metrics = {"exact": (has + no) / 2, "f1": (has * 1.1 + no) / 2}
        hard = 2.4 + 3.6 * math.exp(-3 * share) + dice.gauss(0, 0.05)
        losses = {"hard": hard, "soft": 0.7 * hard, "total": 0.85 * hard}
        points.append(Point(1000 * i, {**metrics, "HasAns_exact": has, "NoAns_exact": no}, losses))
    return points
