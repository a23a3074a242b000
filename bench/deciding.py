"""Measure what one decision and one suggestion take at 2,000 finished trials.

    python bench/deciding.py [--trials 2000] [--running 20]

Prints the times of a pass that judges every running trial at its rungs and starts a suggestion, of
the rule alone, and of a suggestion by a study that is kept from one to the next; as its last line
one JSON object. CPU seconds, for others may work on this machine.
"""

import argparse
import json
import math
import random
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from distillery_contract import size
from distillery_contract.parameters import Value
from distillery_contract.request import Stage
from distillery_contract.size import Architecture, Family
from distillery_operator.engine import decide
from distillery_operator.resource import yaml_files
from distillery_operator.resource.spec import Spec
from distillery_operator.search.suggester import Suggester
from distillery_operator.stopping import reasons
from distillery_operator.stopping.rule import Rule
from distillery_operator.trials.attempt import Attempt, Phase
from distillery_operator.trials.observation import Observation, Preparation
from distillery_operator.trials.trial import Point, State, Trial

SOURCES = {"teacher": Architecture(Family.BERT, 30522, 512, 768, 3072, 12, 12, 2)}
SAMPLE = Path(__file__).parent.parent / "manifests" / "samples" / "squad2-compact.yaml"
STEPS, EVALUATIONS, REPEATS = 9000, 9, 10


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=2000, help="that have ended")
    parser.add_argument("--running", type=int, default=20, help="that train, past their first rung")
    arguments = parser.parse_args()
    figures = measure(arguments.trials, arguments.running)
    for name, value in figures.items():
        print(f"{name:20} {value:.3f}" if isinstance(value, float) else f"{name:20} {value}")
    print(json.dumps(figures))


def measure(ended_trials: int, running_trials: int) -> dict[str, float]:
    """Return the figures; of the trials that have ended, two of three were stopped."""
    changes = {"max_trials": 10**5, "parallelism": running_trials + 1}
    spec = yaml_files.read_experiment(SAMPLE).spec.model_copy(update=changes)
    suggester, trials = Suggester(), [ended(n, spec) for n in range(ended_trials)]
    trials += [running(n, spec) for n in range(len(trials), len(trials) + running_trials)]
    attempts = tuple(
        Attempt(Stage.TRAIN, trial.number, 1, Phase.RUNNING, started=0.0)
        for trial in trials[ended_trials:]
    )
    trials.append(suggested(len(trials), spec))
    prepared = Preparation("key", {"exact": 75.0}, SOURCES, pinned=True)
    seen = Observation(1.0, 0.0, prepared, tuple(trials), attempts, {})
    suggest(suggester, spec, trials)  # builds the study, as after a restart
    known = seen.verdicts(spec)

    def one_ended() -> Observation:
        """Return the moment after another one, at which one trial ended that ran there."""
        last = replace(trials[ended_trials - 1])
        later = (*seen.trials[: ended_trials - 1], last, *seen.trials[ended_trials:])
        return replace(seen, trials=later, before=known.bare())

    deciding = timed(lambda: decide.decide(spec, one_ended()).actions)
    suggesting = timed(lambda: suggest(suggester, spec, trials))
    return {
        "trials": ended_trials,
        "decision_seconds": deciding,
        "rule_seconds": timed(lambda: judge_all(spec, trials)),
        "suggestion_seconds": suggesting,
        "together_seconds": round(deciding + suggesting, 4),
    }


def judge_all(spec: Spec, trials: list[Trial]) -> None:
    """Judge every trial that trains."""
    rule = Rule(spec, trials)
    for trial in trials:
        if trial.state is State.RUNNING:
            rule.stop(trial)


def suggest(suggester: Suggester, spec: Spec, trials: list[Trial]) -> None:
    """Suggest a further trial, which then runs."""
    searched = suggester.suggest(spec, trials, sized)
    trials.append(Trial(len(trials), searched or {}))


def sized(parameters: Mapping[str, Value]) -> int | None:
    """Return the weights of a student; None if there is none of such hyperparameters."""
    try:
        return size.student_size(SOURCES, parameters)
    except ValueError:
        return None


def timed(work: Callable[[], object]) -> float:
    """Return the median CPU time of some work, in seconds."""
    spent = []
    for _ in range(REPEATS):
        begun = time.process_time()
        work()
        spent.append(time.process_time() - begun)
    return round(statistics.median(spent), 4)


def ended(number: int, spec: Spec) -> Trial:
    """Return a trial that trained to its end, or was stopped at its first rung.

    Samplers learn from the end that was expected of a stopped one.
    """
    if number % 3:
        made = curve_of(number, spec, 1)
        expected = curve_of(number, spec, EVALUATIONS).curve[-1].metrics
        told = replace(made, state=State.STOPPED, reason=reasons.CANNOT_IMPROVE, expected=expected)
    else:
        made = curve_of(number, spec, EVALUATIONS)
        told = replace(made, state=State.COMPLETED, reason="Completed")
    count = float(made.parameter_count or 0)
    measured = {**made.curve[-1].metrics, "parameter_count": count}
    return replace(told, metrics=measured)


def running(number: int, spec: Spec) -> Trial:
    """Return a trial that has passed its first rung."""
    return curve_of(number, spec, 2)


def suggested(number: int, spec: Spec) -> Trial:
    """Return a trial that has not started."""
    return replace(curve_of(number, spec, 0), seconds=0.0)


def curve_of(number: int, spec: Spec, evaluations: int) -> Trial:
    """Return a trial with random hyperparameters and a plausible curve."""
    chance = random.Random(number)
    values = {
        p.name: (p.choices or [0])[0]
        if p.choices
        else chance.randint(int(p.low or 0), int(p.high or 0))
        if p.type == "Int"
        else math.exp(chance.uniform(math.log(p.low or 1e-9), math.log(p.high or 1)))
        if p.log
        else chance.uniform(p.low or 0, p.high or 0)
        for p in spec.parameters
    }
    end = 50 + 20 * chance.random()
    points = []
    for n in range(1, evaluations + 1):
        now = end * (1 - 0.5 * math.exp(-0.4 * n)) + chance.gauss(0, 0.5)
        found = {"exact": now, "f1": now + 3, "HasAns_exact": now - 2, "NoAns_exact": now + 2}
        points.append(Point(n * STEPS // EVALUATIONS, found, steps=STEPS, at=float(number)))
    parameters = {**spec.training, **values}
    count = sized(parameters)
    return Trial(number, parameters, parameter_count=count, curve=tuple(points), seconds=60.0)


if __name__ == "__main__":
    main()
