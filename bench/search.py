"""Does Distillery's search find better students than others? Simulated searches, real decisions.

    python bench/search.py [--seeds 20] [--trainings 150] [--jobs 1] [--show] [--plot FILE]

Every contestant searches every problem with the GPU time of so many mean trainings, on 1 and on 20
workers, asynchronously, once per seed. docs/search.md says what the problems are, who competes and
what is counted. Each finished search is kept as a line in ``--store``; run again, the command goes
on where it ended, and runs only what is missing or has another version: of the problem, of the
contestant, or of the operator, for its own contestants.

Prints two tables for each problem and number of workers, and draws true volume over GPU time if it
is told where. Volumes are shares of the best true front's. Ends with one JSON object:

* for each problem and number of workers: ``contestants``, the means of each with their standard
  errors; ``best_rival``, the one besides ours with the largest true volume at the end; and
  ``against`` each other, by how much the volume of ours exceeds its own in the mean of the common
  seeds (``clear`` if that is three standard errors from none, by five seeds or more), and
  ``gpu_time_ratio``, the GPU time at which the mean true volume of ours reaches the other's final
  one, as a share of the other's; null if it never does;
* ``agreed``: for each price of an evaluation on the recorded problem, whether ours is ahead of a
  contestant or behind by trees and by Gaussian processes alike;
* ``interpolators``: how well these know configurations that they have not seen, once enough
  trainings are recorded;
* ``decide_and_suggest_seconds``: CPU time of one decision and one suggestion after 2,000 trials;
  200 with ``--quick``.
"""

import argparse
import itertools
import json
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parent))

import optuna

import deciding
from arguments import at_least
from contest import comparison, picture, problems, recorded, score, store, truth
from contest.comparison import Scores
from contest.contestants import CONTESTANTS, OURS
from contest.graph import Graph
from contest.problems import Problem
from contest.recorded import INTERPOLATORS, Recorded
from contest.score import Score
from contest.store import Search, Store
from contest.synthetic import Synthetic

PRICES: Final = (0.08, 0.01)
"""Of an evaluation on the recorded problem, as shares of a training: a small validation set as the
quickstart's, and SQuAD 2.0."""

PROBLEMS: Final[Mapping[str, Callable[[], Problem]]] = {
    **{
        recorded.name(kind, price): partial(Recorded, kind, price)
        for price, kind in itertools.product(PRICES, INTERPOLATORS)
    },
    "synthetic": Synthetic,
    "graph": Graph,
}

SEARCHES: Final = problems.DATA / "searches.jsonl"

QUICK: Final[Mapping[str, Any]] = {
    "seeds": 2,
    "trainings": 12,
    "workers": [4],
    "store": Path(".cache/quick.jsonl"),
}
"""Defaults of a run that only shows that all works; what is asked for beside it counts more."""


def asked(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Return what the command line asks for; end with a sentence where that is nothing to do."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--seeds", type=at_least(2), default=20, help="searches per contestant, a seed each")
    add(
        "--slow-seeds",
        type=at_least(2),
        default=4,
        help="at most, where a suggestion takes seconds and the search is not finished",
    )
    add("--first-seed", type=at_least(0), default=0, help="seed of the first, others follow it")
    add("--trainings", type=at_least(1), default=150, help="GPU time, in mean trainings")
    add("--workers", type=at_least(1), nargs="+", default=[20, 1], help="GPUs of a search")
    add("--jobs", type=at_least(1), default=1, help="searches at the same time, a process each")
    add("--problems", nargs="+", choices=PROBLEMS, default=[*PROBLEMS], help="what is searched")
    add("--contestants", nargs="+", choices=CONTESTANTS, default=[*CONTESTANTS], help="who does")
    add("--store", type=Path, default=SEARCHES, help="finished searches")
    add("--show", action="store_true", help="search no further: show what is finished")
    told = ", ".join(f"{name} {value}" for name, value in QUICK.items())
    quick = f"see that it works, in minutes: other defaults, {told}"
    add("--quick", action="store_true", help=quick)
    add("--plot", type=drawing, metavar="FILE", help="picture to draw, if any")
    if parser.parse_args(words).quick:
        parser.set_defaults(**QUICK)
    return parser.parse_args(words)


def drawing(text: str) -> Path:
    """Read the path of a picture from the command line; a search of hours must not end with it."""
    path = Path(text)
    if path.suffix not in picture.SUFFIXES:
        known = ", ".join(picture.SUFFIXES)
        raise argparse.ArgumentTypeError(f"must end with one of {known}, but got {text!r}")
    return path


def main() -> None:
    """Search, compare, print, draw."""
    arguments = asked()
    known = Store(arguments.store)
    searches = wanted(arguments, known)
    if arguments.show:
        searches = [search for search in searches if known.get(search)]
    found: dict[tuple[str, int], dict[str, dict[int, Score]]] = {}
    for search, result in run(searches, arguments.jobs, known):
        scores = found.setdefault((search.problem, search.workers), {})
        scores.setdefault(search.contestant, {})[search.seed] = result
    told: dict[str, object] = {}
    for (problem, workers), scores in found.items():
        title = f"{problem}, {workers} worker{'s' * (workers > 1)}"
        print(f"\n{title}\n{comparison.table(scores)}")
        if OURS in scores and len(scores) > 1:
            print(comparison.differences(scores))
        told[title] = comparison.compared(scores)
    if agreed := agreements(found):
        told["agreed"] = agreed
        for title, verdicts in agreed.items():
            print(f"\n{title}, by trees and Gaussian processes alike, {OURS} is")
            for name, verdict in verdicts.items():
                print(f"{name:{comparison.WIDTH}}{verdict}")
    if any(name.startswith("recorded") for name in arguments.problems):
        if recorded.recording().lines:
            told["interpolators"] = recorded.error()
            print(f"\nthe recording: {told['interpolators']}")
        if missing := recorded.missing():
            print(f"\n{missing}")
    if arguments.plot:
        picture.draw(found, arguments.plot)
    cost = deciding.measure(200 if arguments.quick else 2000, 20)["together_seconds"]
    print(json.dumps({**told, "decide_and_suggest_seconds": cost}))


def wanted(arguments: argparse.Namespace, known: Store) -> list[Search]:
    """Return the searches that are asked for, in the order of the tables.

    Where a suggestion takes seconds, only some of the seeds, and those that are finished anyway.
    """
    chosen = itertools.product(
        [name for name in PROBLEMS if name in arguments.problems],
        dict.fromkeys(arguments.workers),
        [name for name in CONTESTANTS if name in arguments.contestants],
    )
    first = arguments.first_seed
    searches = [
        Search(problem, contestant, workers, arguments.trainings, seed, of(problem, contestant))
        for problem, workers, contestant in chosen
        for seed in range(first, first + arguments.seeds)
    ]
    few = range(first, first + arguments.slow_seeds)
    return [
        search
        for search in searches
        if not CONTESTANTS[search.contestant].slow or search.seed in few or known.get(search)
    ]


def of(problem: str, contestant: str) -> str:
    """Return the version of what a search depends on."""
    one = CONTESTANTS[contestant]
    return store.version((*problem_of(problem).files, *one.files), tuple(one.packages))


def run(searches: Sequence[Search], jobs: int, known: Store) -> Iterator[tuple[Search, Score]]:
    """Do the searches that are missing, keep each, and return all in their order."""
    missing = [search for search in searches if known.get(search) is None]
    for name in dict.fromkeys(search.problem for search in missing):
        _budget_of_one(name), truth.best_volume(problem_of(name))  # once, for all processes
    # Seed by seed, so that what is finished early is of use.
    missing.sort(key=lambda search: search.seed)
    for number, (search, result, seconds) in enumerate(_done(missing, jobs), 1):
        known.add(search, result)
        print(
            f"{number} of {len(missing)}: {search.title}: true {result.final('true'):.3f},"
            f" {seconds:.0f} CPU s",
            file=sys.stderr, flush=True,
        )  # fmt: skip
    for search in searches:
        if (found := known.get(search)) is not None:
            yield search, found


def _done(searches: Sequence[Search], jobs: int) -> Iterator[tuple[Search, Score, float]]:
    if jobs == 1:
        yield from map(_search, searches)
        return
    with ProcessPoolExecutor(jobs) as pool:
        for future in as_completed([pool.submit(_search, search) for search in searches]):
            yield future.result()


def _search(search: Search) -> tuple[Search, Score, float]:
    """Let one contestant search; return what it came to, and the CPU seconds of it."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    begun, problem = time.process_time(), problem_of(search.problem)
    budget = search.trainings * _budget_of_one(search.problem)
    history = CONTESTANTS[search.contestant].run(
        problem, workers=search.workers, gpu_seconds=budget, seed=search.seed
    )
    found = score.score(problem, history, budget)
    return search, found, time.process_time() - begun


@cache
def problem_of(name: str) -> Problem:
    """Return a problem, once in each process."""
    return PROBLEMS[name]()


@cache
def _budget_of_one(name: str) -> float:
    return problems.mean_seconds(problem_of(name))


def agreements(found: Mapping[tuple[str, int], Scores]) -> dict[str, dict[str, str]]:
    """Return where both interpolators of the recorded problem agree."""
    told = {}
    for price, workers in itertools.product(PRICES, dict.fromkeys(w for _, w in found)):
        names = [(recorded.name(kind, price), workers) for kind in INTERPOLATORS]
        if all(name in found for name in names):
            title = f"recorded, evaluations at {price:.0%}, {workers} worker{'s' * (workers > 1)}"
            told[title] = comparison.agreed([found[name] for name in names])
    return told


if __name__ == "__main__":
    main()
