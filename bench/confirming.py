"""Does it pay to train points of a front again? On problems whose truth is known.

    python bench/confirming.py [--repeats 8] [--trainings 150] [--workers 20] [--problem recorded]

The problems are those of bench/search.py. Distillery searches, and then its front is confirmed by
the rules of the operator: who is trained again, when that is enough, and which values are reported.
The truth is the mean over all seeds. Prints a line for each share of the GPU time and each value of
``confirm.report``, and ends with a JSON object. In points of exact: by how much the reported values
exceed the truth, and the root of the mean square of that. Then the share of reported points whose
truth is below the threshold, the true volume of the reported front as a share of the search's own
measured one, points, further trainings, and confirmed points, each with its standard error. The
lines *mean of all* have the front of the same trials with the plain means of their trainings.
"""

import argparse
import json
import statistics
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np

from contest import ours, problems
from contest.problems import Problem, Training
from contest.recorded import Recorded
from contest.synthetic import Synthetic
from distillery_operator.engine import confirming
from distillery_operator.resource import space
from distillery_operator.resource.confirm import Confirm, FrontValues
from distillery_operator.resource.spec import Spec
from distillery_operator.search import reported
from distillery_operator.trials import hypervolume, pareto
from distillery_operator.trials.observation import Observation, Preparation
from distillery_operator.trials.trial import Confirmation, State, Trial

PROBLEMS: Final[dict[str, Callable[[], Problem]]] = {"recorded": Recorded, "synthetic": Synthetic}
SHARES: Final = (0.0, 0.05, 0.1, 0.2)
Front = list[tuple[Trial, float]]
"""Points and their true exact."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=8)
    parser.add_argument("--trainings", type=int, default=150)
    parser.add_argument("--workers", type=int, default=20)
    parser.add_argument("--problem", choices=[*PROBLEMS], default="recorded")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # Optuna's, of experimental features
    problem = PROBLEMS[options.problem]()
    lines: dict[str, list[dict[str, float]]] = {}
    for seed in range(options.repeats):
        spent = options.trainings * problems.mean_seconds(problem)
        found = ours.search(problem, workers=options.workers, gpu_seconds=spent, seed=700 + seed)
        measure(problem, seed, found.trials, lines)
    print(f"\n{problem.name}, {options.trainings} trainings, {options.workers} workers")
    columns = [*next(iter(lines.values()))[0]]
    print("| share | values | " + " | ".join(columns) + " |\n|" + "---|" * (2 + len(columns)))
    for name, runs in lines.items():
        shown = []
        for column in columns:
            each = [run[column] for run in runs]
            error = statistics.stdev(each) / len(each) ** 0.5 if len(each) > 1 else 0.0
            shown.append(f"{statistics.fmean(each):.2f} ± {error:.2f}")
        print(f"| {name} | " + " | ".join(shown) + " |")
    print(json.dumps(lines))


def measure(
    problem: Problem, seed: int, trials: Sequence[Trial], lines: dict[str, list[dict[str, float]]]
) -> None:
    """Confirm the front of one search by each share, and add what comes of it."""
    spec = problem.experiment.spec
    own = truth(problem, pareto.front(spec, trials))
    for share in SHARES:
        for values in FrontValues:
            wanted = Confirm(share=share or 0.01, report=values)
            asked = spec.model_copy(update={"confirm": wanted})
            told, runs = (trials, 0) if not share else confirmed(problem, asked, trials, seed)
            chances = reported.chances(asked, told)
            sure = confirming.Confirmations(chances)
            fronts = {str(values): reported.front(asked, told)}
            if values is FrontValues.EXPECTATION:
                fronts["mean of all"] = pareto.front(spec, [*map(mean, told)])
            for name, front in fronts.items():
                points = truth(problem, front)
                excess = [trial.metrics["exact"] - true for trial, true in points]
                lines.setdefault(f"{share:.0%} | {name}", []).append(
                    {
                        "too high by": statistics.fmean(excess),
                        "error": float(np.sqrt(np.mean(np.square(excess)))),
                        "below the threshold": statistics.fmean(
                            [true < problems.threshold(problem) for _, true in points]
                        ),
                        "true volume": volume(problem, points) / volume(problem, own),
                        "points": len(points),
                        "further trainings": runs,
                        "confirmed": sum(sure.confirmed(told[t.number]) for t, _ in points),
                    }
                )


def confirmed(
    problem: Problem, spec: Spec, trials: Sequence[Trial], seed: int
) -> tuple[list[Trial], int]:
    """Return the trials after the trainings that the operator asks for, one at a time."""
    told, runs = [replace(t, model="kept", gpus=1.0) for t in trials], 0
    while True:
        seen = Observation(0.0, 0.0, PREPARED, tuple(told), (), {})
        missing = confirming.confirmations(spec, seen).missing
        if not missing:
            return told, runs
        trial = told[missing[0]]
        index, point = len(trial.confirmations), space.reduced(spec, trial.parameters)
        further = Training(problem, point, 90_000 + 1000 * seed + index)
        run = Confirmation(
            43 + index,
            State.COMPLETED,
            metrics=further.at(1.0),
            seconds=further.until_measured(1.0),
            gpus=1.0,
            attempt=1 + index,
        )
        told[trial.number] = replace(trial, confirmations=(*trial.confirmations, run))
        runs += 1


PREPARED: Final = Preparation("simulated", {}, {}, pinned=True)


def mean(trial: Trial) -> Trial:
    """Return a trial with the means of all its trainings as its metrics."""
    runs = [trial.metrics, *(c.metrics for c in reported.completed(trial))]
    found = {name: statistics.fmean(run[name] for run in runs) for name in trial.metrics}
    return replace(trial, metrics=found)


def truth(problem: Problem, front: Sequence[Trial]) -> Front:
    """Return points with their mean exact over all seeds."""
    searched = [space.reduced(problem.experiment.spec, trial.parameters) for trial in front]
    return list(zip(front, map(float, problem.true_exact(searched)), strict=True)) if front else []


def volume(problem: Problem, points: Front) -> float:
    """Return the volume of points at their truth; those below the threshold count nothing."""
    spec = problem.experiment.spec
    halves = ("exact", "HasAns_exact", "NoAns_exact")
    true = [replace(t, metrics={**t.metrics, **dict.fromkeys(halves, v)}) for t, v in points]
    prepared = replace(PREPARED, sources=problem.sources)
    corner = hypervolume.corner(spec, hypervolume.reference(spec, prepared))
    return pareto.hypervolume(spec, true, corner)


if __name__ == "__main__":
    main()
