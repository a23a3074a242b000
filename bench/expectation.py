"""Do the report's expectations and importances tell the truth? On problems whose truth is known.

    python bench/expectation.py [--repeats 8] [--quick]

The problems are those of bench/search.py. Prints two tables for each, and ends with a JSON object.

*Expectations*, of the fronts of Distillery's own searches on five workers: by how much the front's
exact exceeds the truth, which is the mean over all seeds, and the root of the mean square of that,
as it was measured and as it is expected when trained again; how many fronts there were nothing to
expect of; and how often a training with another seed comes to within the deviation.

*Importances* of exact, by evenly spread trainings: which share is given to wrong parameters (half
the sum of the absolute errors), how often the first one is right, how often a true share lies
within its whisker, and in how many of the repeats the trials tell at all. What the trials that do
not tell would have said counts as well, but for the column that says so. The shares of the size are
held against those of many random points.
"""

import argparse
import json
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from numpy.typing import NDArray

from contest import ours, problems
from contest.problems import Parameters, Problem, Training
from contest.recorded import Recorded
from contest.synthetic import Synthetic
from distillery_contract import size
from distillery_operator.resource import space
from distillery_operator.resource.spec import Spec
from distillery_operator.search import expectation, grid_and_random, importance
from distillery_operator.trials import pareto
from distillery_operator.trials.trial import Trial

Array = NDArray[np.float64]

PROBLEMS: Final[Sequence[Callable[[], Problem]]] = (Recorded, Synthetic)
COUNTS: Final = (15, 30, 50, 150)
"""Trials whose importances are estimated, and mean trainings that a search takes."""

POINTS: Final = 2000
"""Points that the true importances are computed from."""

AGAIN: Final = 20
"""Trainings with other seeds of each point of a front."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=8)
    parser.add_argument("--quick", action="store_true", help="two repeats of the first two counts")
    options = parser.parse_args()
    repeats, counts = (2, COUNTS[:2]) if options.quick else (options.repeats, COUNTS)
    warnings.simplefilter("ignore")  # Optuna's, of experimental features
    found: dict[str, Any] = {}
    for make in PROBLEMS:
        problem = make()
        found[problem.name] = {
            "expectations": _table(problem, counts, repeats, expectations),
            "importances": _table(problem, counts, repeats, importances),
            "size": _size_error(problem),
        }
    print(json.dumps(found))


def _table(
    problem: Problem,
    counts: Sequence[int],
    repeats: int,
    measure: Callable[[Problem, int, int], Mapping[str, float | None]],
) -> dict[int, Mapping[str, float | None]]:
    """Print a line for each count, and return them."""
    lines = {}
    for count in counts:
        lines[count] = measure(problem, count, repeats)
        if count == counts[0]:
            print(f"\n{problem.name}, {measure.__name__}")
            print("| trainings | " + " | ".join(lines[count]) + " |")
            print("|---" * (1 + len(lines[count])) + "|")
        cells = ("–" if v is None else f"{v:.2f}" for v in lines[count].values())
        print(f"| {count} | " + " | ".join(cells) + " |", flush=True)
    return lines


def expectations(problem: Problem, count: int, repeats: int) -> Mapping[str, float | None]:
    """Compare fronts with the truth: errors in points of exact, as measured and as expected."""
    spec, measured, expected, inside, silent = problem.experiment.spec, [], [], [], 0
    for seed in range(repeats):
        spent = count * problems.mean_seconds(problem)
        history = ours.search(problem, workers=5, gpu_seconds=spent, seed=500 + seed)
        front = pareto.front(spec, history.trials)
        searched = [space.reduced(spec, trial.parameters) for trial in front]
        known = expectation.again(spec, history.trials, front)
        silent += bool(front) and not known
        if not known:
            continue
        for trial, point, truth in zip(front, searched, problem.true_exact(searched), strict=True):
            found = known[0].expected[trial.number]
            measured.append(trial.metrics["exact"] - truth)
            expected.append(found.mean - truth)
            for other in range(AGAIN):
                again = Training(problem, point, 10_000 + other).at(1.0)["exact"]
                inside.append(abs(again - found.mean) <= found.deviation)
    return {
        "points": len(measured),
        "fronts without": silent,
        "measured too high by": _mean(measured),
        "its error": _size_of(measured),
        "expected too high by": _mean(expected),
        "error of what is expected": _size_of(expected),
        "within the deviation": _mean(inside),
    }


def importances(problem: Problem, count: int, repeats: int) -> Mapping[str, float | None]:
    """Compare the shares of exact with the true ones."""
    true = _true_shares(problem)
    sure = {"LEAST": importance.LEAST, "DOUBTFUL": importance.DOUBTFUL}
    wrong, first, held, told, told_wrong = [], [], [], [], []
    for seed in range(repeats):
        trials = _spread_evenly(problem, count, 1000 + seed)
        said = importance.importances(problem.experiment.spec, trials, problem.sources)["exact"]
        told.append(bool(said.shares))
        vars(importance).update(LEAST=0, DOUBTFUL=float("inf"))  # what it would say in any case
        found = importance.importances(problem.experiment.spec, trials, problem.sources)["exact"]
        vars(importance).update(sure)
        shares = np.array([found.shares[name] for name in _names(problem)])
        reach = np.array([found.whiskers[name] for name in _names(problem)])
        wrong.append(float(np.abs(shares - true).sum() / 2))
        told_wrong += wrong[-1:] if told[-1] else []
        first.append(shares.argmax() == true.argmax())
        held.append(float(np.mean((reach[:, 0] <= true) & (true <= reach[:, 1]))))
    return {
        "wrong share": _mean(wrong),
        "first is right": _mean(first),
        "within the whisker": _mean(held),
        "trials tell": _mean(told),
        "wrong share where they tell": _mean(told_wrong),
    }


def _spread_evenly(problem: Problem, count: int, seed: int) -> list[Trial]:
    own = problem.experiment.spec.sampler.model_copy(update={"seed": seed})
    spec: Spec = problem.experiment.spec.model_copy(update={"sampler": own})
    trials: list[Trial] = []
    for number in range(count):
        trials.append(
            Training(problem, dict(grid_and_random.even(spec, trials)), seed).whole(number)
        )
    return trials


def _true_shares(problem: Problem) -> Array:
    """Return the total indices of exact's mean over seeds, scaled to a sum of 1."""
    return _shares(problem, problem.true_exact)


def _size_error(problem: Problem) -> float:
    """Return which share of the size is given to wrong parameters."""
    spec = problem.experiment.spec
    found = importance.importances(spec, [], problem.sources)["parameter_count"].shares
    true = _shares(
        problem, lambda many: np.array([size.student_size(problem.sources, p) for p in many])
    )
    wrong = float(np.abs(np.array([found[name] for name in _names(problem)]) - true).sum() / 2)
    print(f"\n{problem.name}: wrong share of the size {wrong:.3f}, by {POINTS} random points")
    return wrong


def _shares(problem: Problem, values: Callable[[Sequence[Parameters]], Array]) -> Array:
    """Return total indices by random points, as Jansen (1999) estimates them."""
    known, dice = problem.experiment.spec.parameters, np.random.default_rng(5)
    points, others = dice.random((2, POINTS, len(known)))
    blocks = [points]
    for column in range(len(known)):
        blocks.append(points.copy())
        blocks[-1][:, column] = others[:, column]
    many = [
        {p.name: space.value_at(p, float(share)) for p, share in zip(known, row, strict=True)}
        for row in np.concatenate(blocks)
    ]
    first, *moved = values(many).reshape(len(blocks), -1)
    totals = np.array([np.mean((first - each) ** 2) for each in moved])
    shares: Array = totals / totals.sum()
    return shares


def _names(problem: Problem) -> list[str]:
    return [parameter.name for parameter in problem.experiment.spec.parameters]


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _size_of(errors: Sequence[float]) -> float | None:
    return float(np.sqrt(np.mean(np.square(errors)))) if errors else None


if __name__ == "__main__":
    main()
