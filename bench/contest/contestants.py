"""Who competes, what each knows, and what its searches depend on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from modulefinder import ModuleFinder
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Protocol

from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler

import distillery_contract
import distillery_operator
from contest import clock, environments, ours
from contest.clock import History
from contest.ours import Part
from contest.peer import MoAsha, Nehvi
from contest.problems import Problem
from contest.samplers import Optuna
from distillery_operator.resource.sampler import SamplerType

HERE: Final = Path(__file__).parent


def imported(script: Path, *packages: ModuleType) -> tuple[Path, ...]:
    """Return the modules of some packages that a script imports, be it on the way of others."""
    folders = [str(Path(folder).parent) for package in packages for folder in package.__path__]
    finder = ModuleFinder(path=folders)
    finder.run_script(str(script))
    files = (vars(module)["__file__"] for module in finder.modules.values())
    return tuple(sorted(path for path in map(Path, filter(None, files)) if path != script))


OPERATOR: Final = imported(HERE / "ours.py", distillery_operator, distillery_contract)
"""What of the operator a simulated search runs: no cluster, no command line, no report."""


class Runs(Protocol):
    """Lets a contestant search a problem."""

    def __call__(self, problem: Problem, *, workers: int, gpu_seconds: float, seed: int) -> History:
        """Return what happened."""


@dataclass(frozen=True)
class Contestant:
    """One of those that compete.

    Attributes:
        run: lets it search.
        knows: besides the objectives: constraints (threshold and guard against the collapse), size
            (before the training), running (which trainings run), curve (what a training has reached
            on its way).
        files: that its searches depend on.
        packages: likewise, by their versions.
        slow: whether a suggestion takes seconds, so that a search takes many minutes.
    """

    run: Runs
    knows: Sequence[str]
    files: Sequence[Path]
    packages: Sequence[str]
    slow: bool = False


def _optuna(
    make: Callable[..., BaseSampler], problem: Problem, *, told: bool, seed: int, **given: Any
) -> History:
    contestant = Optuna(problem, make(seed=seed), constrained=told)
    return clock.search(problem, contestant, seed=seed, **given)


def _peer(kind: type[MoAsha | Nehvi], problem: Problem, *, seed: int, **given: Any) -> History:
    with kind(problem, seed) as contestant:
        return clock.search(problem, contestant, seed=seed, **given)


def _of_optuna(make: Callable[..., BaseSampler], *knows: str, slow: bool = False) -> Contestant:
    run = partial(_optuna, make, told="constraints" in knows)
    return Contestant(run, knows, (HERE / "samplers.py",), ("optuna",), slow)


def _of_ours(*without: Part, sampler: SamplerType | None = None) -> Contestant:
    knows = ["constraints", "size", "running", *(["curve"] if "stopping" not in without else [])]
    files = (HERE / "ours.py", *OPERATOR)
    return Contestant(
        partial(ours.search, sampler=sampler, without=without), knows, files, ("optuna",)
    )


RANDOM: Final = "random"
OURS: Final = "Distillery"
CONTESTANTS: Final[Mapping[str, Contestant]] = {
    RANDOM: _of_optuna(RandomSampler),
    "TPE": _of_optuna(TPESampler),
    "TPE, constrained": _of_optuna(TPESampler, "constraints"),
    "NSGA-II": _of_optuna(NSGAIISampler, "constraints"),
    "Optuna's GP": _of_optuna(
        partial(GPSampler, n_startup_trials=10, warn_independent_sampling=False),
        "constraints", "running", slow=True,
    ),
    "qLogNEHVI": Contestant(
        partial(_peer, Nehvi), ("constraints", "size", "running"),
        (HERE / "peer.py", HERE / "nehvi.py", environments.BOTORCH), ("torch",), slow=True,
    ),
    "MO-ASHA": Contestant(
        partial(_peer, MoAsha), ("curve",),
        (HERE / "peer.py", HERE / "syne.py", environments.SYNE_TUNE), (),
    ),
    OURS: _of_ours(),
    "Distillery, no stopping": _of_ours("stopping"),
    "Distillery, no rounds": _of_ours("rounds"),
    "Distillery, no softening": _of_ours("softening"),
    "Distillery, TPE": _of_ours(sampler=SamplerType.TPE),
    "Distillery, TPE, no crossings": _of_ours("crossings", sampler=SamplerType.TPE),
    "Distillery, TPE, plain": _of_ours("crossings", "stopping", sampler=SamplerType.TPE),
}  # fmt: skip
"""By name. The parts of ours are switched off one by one: early stopping, the rounds of EHVI, its
softening of bad ends, the choice by EHVI, and TPE's crossings."""
