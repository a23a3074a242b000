"""Does Distillery's search waste less GPU time than others? Simulated searches, real decisions.

    python bench/search.py [--repeats 20] [--trainings 300] [--jobs 1] [--plot FILE] [--quick]

Two problems: one made from real learning curves of the quickstart's trainer (bench/record.py), one
made up, with noise, whose curves cross. Each contestant gets the GPU time of so many mean
trainings, on 1 and on 20 workers, asynchronously, once per seed: Optuna's random search, NSGA-II,
TPE without and with the thresholds as constraints, Syne Tune's MO-ASHA, and Distillery: the
operator's own loop, study and stopping rule in simulated time, and the same without that rule.

Prints a table, draws hypervolume over GPU time if it is told where, and ends with one JSON object,
in which a ratio is null where Distillery never gets there. For each problem and number of workers:

* ``gpu_time_ratio``: GPU time at which the mean hypervolume of Distillery's searches reaches the
  final one of TPE without constraints, as a share of that at which TPE's reaches it;
* ``gpu_time_ratio_interval``: its 5 % and 95 % quantiles, the seeds drawn anew 1,000 times;
* ``gpu_time_ratio_of_shorter``: as ``gpu_time_ratio``, for searches with 25 %, 50 % and 75 % of the
  GPU time;
* ``constrained_gpu_time_ratio``: as ``gpu_time_ratio``, against TPE with constraints; null if that
  did not search;
* ``final_ratio``: hypervolume at the end, of Distillery's searches over TPE's;
* ``stopping_gpu_time_ratio``: as ``gpu_time_ratio``, against Distillery without early stopping;
* ``wrongly_stopped_ratio``: how many stopped trainings and refused suggestions would have improved
  the front of that moment, as a share of the stopped trainings alone, so that refusals, which are
  cheap and many, do not make it look better.

And for all:

* ``decide_and_suggest_seconds``: CPU time of one decision and one suggestion after 2,000 trials;
  200 with ``--quick``.
"""

import argparse
import itertools
import json
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import optuna
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler

import deciding
from arguments import at_least
from contest import clock, figures, ours, peer, picture, problems, recorded
from contest.clock import History
from contest.figures import Search
from contest.problems import Problem
from contest.recorded import Recorded
from contest.samplers import Optuna
from contest.synthetic import Synthetic

PROBLEMS: Final[Mapping[str, Callable[[], Problem]]] = {
    "recorded": Recorded,
    "synthetic": Synthetic,
}
CONSTRAINED: Final = "TPE, constrained"
SAMPLERS: Final[Mapping[str, tuple[type[BaseSampler], bool]]] = {
    "random": (RandomSampler, False),
    "NSGA-II": (NSGAIISampler, False),
    "TPE": (TPESampler, False),
    CONSTRAINED: (TPESampler, True),
}
MO_ASHA: Final = "MO-ASHA"
WHOLE: Final = "Distillery, whole"
"""Without early stopping: each training takes all its steps, as most searches do."""
OURS: Final = "Distillery"
CONTESTANTS: Final = (*SAMPLERS, MO_ASHA, WHOLE, OURS)

QUICK: Final[Mapping[str, Any]] = {"repeats": 2, "trainings": 12, "workers": [4]}
"""Defaults of a run that only shows that all works; what is asked for beside it counts more."""


@dataclass(frozen=True)
class Task:
    """One search; the GPU time is in mean trainings."""

    problem: str
    workers: int
    contestant: str
    seed: int
    trainings: int


def asked(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Return what the command line asks for; end with a sentence where that is nothing to do."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("--repeats", type=at_least(2), default=20, help="searches per contestant, a seed each")
    add("--first-seed", type=at_least(0), default=0, help="seed of the first, others follow it")
    add("--trainings", type=at_least(1), default=300, help="GPU time, in mean trainings")
    add("--workers", type=at_least(1), nargs="+", default=[20, 1], help="GPUs of a search")
    add("--jobs", type=at_least(1), default=1, help="searches at the same time, a process each")
    add("--problems", nargs="+", choices=[*PROBLEMS], default=[*PROBLEMS], help="what is searched")
    besides = "besides TPE and Distillery, stopping or not, which are compared"
    add("--contestants", nargs="*", choices=CONTESTANTS, default=CONTESTANTS, help=besides)
    told = ", ".join(f"{name} {value}" for name, value in QUICK.items())
    quick = f"see that it works, in half a minute: other defaults, {told}"
    add("--quick", action="store_true", help=quick)
    add("--plot", type=drawing, metavar="FILE", help="picture to draw, if any")
    if parser.parse_args(words).quick:
        parser.set_defaults(**QUICK)
    found = parser.parse_args(words)
    if "recorded" in found.problems and (missing := recorded.missing()):
        print(f"without the recorded problem: {missing} trainings are missing, see bench/record.py")
        found.problems = [name for name in found.problems if name != "recorded"]
    return found


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
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.repeats)
    wanted = [c for c in CONTESTANTS if c in {"TPE", WHOLE, OURS, *arguments.contestants}]
    tasks = [
        Task(problem, workers, contestant, seed, arguments.trainings)
        for problem, workers, contestant, seed in itertools.product(
            dict.fromkeys(arguments.problems), dict.fromkeys(arguments.workers), wanted, seeds
        )
    ]
    found: dict[tuple[str, int], dict[str, list[Search]]] = {}
    told: dict[str, object] = {}
    done = zip(tasks, run(tasks, arguments.jobs), strict=True)
    for (problem, workers), pairs in itertools.groupby(
        done, lambda pair: (pair[0].problem, pair[0].workers)
    ):
        searches = found.setdefault((problem, workers), {})
        for task, result in pairs:
            searches.setdefault(task.contestant, []).append(result)
        print(f"\n{problem}, {workers} workers, {arguments.repeats} seeds")
        print(table(searches), flush=True)
        told[f"{problem}, {workers} workers"] = compared(searches)
    if arguments.plot and found:
        picture.draw(found, arguments.plot)
    cost = deciding.measure(200 if arguments.quick else 2000, 20)["together_seconds"]
    if "recorded" in arguments.problems:
        print(f"\nthe surrogate of recorded trainings, cross-validated: {recorded.error()}")
    print(json.dumps({**told, "decide_and_suggest_seconds": cost}))


def run(tasks: Sequence[Task], jobs: int) -> Iterator[Search]:
    """Do all searches, and yield them in the order of the tasks."""
    if jobs == 1:
        yield from map(search, tasks)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(search, tasks)


def search(task: Task) -> Search:
    """Let one contestant search."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    problem = PROBLEMS[task.problem]()
    budget = task.trainings * problems.mean_seconds(problem)
    given: dict[str, Any] = {"workers": task.workers, "gpu_seconds": budget, "seed": task.seed}
    return figures.figures(problem, history(problem, task, given), budget)


def history(problem: Problem, task: Task, given: Mapping[str, Any]) -> History:
    """Return what happened in one search."""
    if task.contestant in (OURS, WHOLE):
        return ours.search(problem, **given, stopping=task.contestant == OURS)
    if task.contestant == MO_ASHA:
        with peer.MoAsha(problem, task.seed) as scheduler:
            return clock.search(problem, scheduler, **given)
    kind, constrained = SAMPLERS[task.contestant]
    sampler = kind(seed=task.seed)  # type: ignore[call-arg]  # every kind here has a seed
    return clock.search(problem, Optuna(problem, sampler, constrained=constrained), **given)


QUARTERS: Final = np.array([0.25, 0.5, 0.75, 1.0])


def table(searches: Mapping[str, Sequence[Search]]) -> str:
    """Return the contestants' figures, a row each: mean and, at the end, standard deviation."""
    best = max(one.final for many in searches.values() for one in many)
    lines = [
        f"{'':18}{'hypervolume at 25 %':>21}{'50 %':>8}{'75 %':>8}{'the end':>16}"
        f"{'finished':>10}{'stopped':>9}{'refused':>9}{'wrongly':>9}"
    ]
    for name, many in searches.items():
        volumes = np.array([one.at(QUARTERS) for one in many]) / best
        mean, spread = volumes.mean(axis=0), volumes[:, -1].std(ddof=1)
        counts = [
            np.mean([getattr(one, field) for one in many])
            for field in ("finished", "stopped", "refused", "wrong")
        ]
        lines.append(
            f"{name:18}{mean[0]:21.3f}{mean[1]:8.3f}{mean[2]:8.3f}{mean[3]:8.3f} ± {spread:.3f}"
            f"{counts[0]:10.1f}{counts[1]:9.1f}{counts[2]:9.1f}{counts[3]:9.2f}"
        )
    return "\n".join(lines)


def compared(searches: Mapping[str, Sequence[Search]]) -> dict[str, object]:
    """Return how Distillery compares with TPE and its whole self; None where it never arrives."""
    tpe, whole, own = searches["TPE"], searches[WHOLE], searches[OURS]
    constrained = searches.get(CONSTRAINED)
    earlier = np.mean([one.at(QUARTERS[:-1]) for one in tpe], axis=0)
    return {
        "gpu_time_ratio": figures.time_ratio(own, tpe, final(tpe)),
        "gpu_time_ratio_interval": figures.time_ratio_interval(own, tpe),
        "gpu_time_ratio_of_shorter": [figures.time_ratio(own, tpe, volume) for volume in earlier],
        "constrained_gpu_time_ratio": constrained
        and figures.time_ratio(own, constrained, final(constrained)),
        "final_ratio": final(own) / final(tpe) if final(tpe) else None,
        "stopping_gpu_time_ratio": figures.time_ratio(own, whole, final(whole)),
        "wrongly_stopped_ratio": sum(one.wrong for one in own)
        / max(1, sum(one.stopped for one in own)),
    }


def final(searches: Sequence[Search]) -> float:
    """Return the mean hypervolume at the end."""
    return float(np.mean([one.final for one in searches]))


if __name__ == "__main__":
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    main()
