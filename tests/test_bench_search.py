"""The benchmark of searches: its command in a tiny configuration, and how it counts."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

from contest import clock, figures, ours
from contest.clock import History
from contest.problems import Metrics, Parameters, Training, sample
from contest.synthetic import Synthetic, collapses
from distillery_contract.request import Data, Request, Stage, Student
from distillery_operator.actions import Launch

SEARCH = Path(__file__).parent.parent / "bench" / "search.py"
PROBLEM = Synthetic()
GOOD = {
    "n_layers": 6, "n_heads": 12, "learning_rate": 7e-4, "alpha_ce": 0.7, "temperature": 3.5,
    "dropout": 0.1, "attention_dropout": 0.08,
}  # fmt: skip


def training(**changes: float) -> Training:
    return Training(PROBLEM, {**GOOD, **changes}, seed=0)


class Halting:
    """Suggests a fixed sample, and stops every second training at its first rung."""

    def __init__(self) -> None:
        self._left = [found.parameters for found in sample(PROBLEM, 100, 3)]
        self.seen: list[tuple[int, float]] = []

    def suggest(self) -> Parameters:
        return self._left.pop(0)

    def goes_on(self, number: int, share: float, metrics: Metrics) -> bool:
        self.seen.append((number, share))
        return number % 2 == 1

    def end(self, number: int, metrics: Metrics) -> None:
        self.seen.append((number, 1.0))


def test_a_worker_that_is_free_gets_the_next_training_until_the_gpu_time_is_spent() -> None:
    contestant = Halting()
    whole = [found.seconds for found in sample(PROBLEM, 100, 3)]
    history = clock.search(PROBLEM, contestant, workers=1, gpu_seconds=3 * max(whole), seed=3)
    spent, begun = 0.0, 0
    for number, end in enumerate(history.ended):
        spent += whole[number] * (clock.MARKS[0] if number % 2 == 0 else 1.0)
        assert abs(end.gpu_seconds - spent) < 1e-6
        assert end.stopped == (number % 2 == 0)
        assert end.trial.parameters == sample(PROBLEM, 100, 3)[number].parameters
        begun = number + 1
    assert spent + whole[begun] * (clock.MARKS[0] if begun % 2 == 0 else 1.0) > 3 * max(whole)
    assert contestant.seen[:4] == [(0, 1 / 9), (1, 1 / 9), (1, 1 / 3), (1, 1.0)]


def test_two_workers_spend_twice_the_time_that_passes() -> None:
    history = clock.search(PROBLEM, Halting(), workers=2, gpu_seconds=20_000, seed=3)
    first = min(
        found.seconds * (clock.MARKS[0] if number % 2 == 0 else 1.0)
        for number, found in enumerate(sample(PROBLEM, 2, 3))
    )
    assert abs(history.ended[0].gpu_seconds - 2 * first) < 1e-6


def test_a_stop_is_wrong_if_the_whole_training_would_have_improved_the_front() -> None:
    history = History()
    history.add(10.0, training().whole(0), stopped=False)
    history.add(20.0, training(n_layers=3).whole(1), stopped=True)  # smaller, feasible
    history.add(30.0, training(dropout=0.5).whole(2), stopped=True)  # far worse, as large
    history.add(40.0, training(n_layers=4).whole(3), stopped=True)  # goes on below
    history.add(50.0, training(n_layers=4).whole(4), stopped=False)
    found = figures.figures(PROBLEM, history, gpu_seconds=100.0)
    assert (found.finished, found.stopped, found.wrong) == (2, 2, 1)
    assert found.times.tolist() == [0.0, 0.1, 0.5]
    assert 0 == found.volumes[0] < found.volumes[1] < found.volumes[2] == found.final


def test_the_time_to_reach_is_that_of_the_mean() -> None:
    searches = []
    for late in (0.2, 0.6):
        history = History()
        history.add(late, training().whole(0), stopped=False)
        searches.append(figures.figures(PROBLEM, history, gpu_seconds=1.0))
    whole = searches[0].final
    assert figures.time_to_reach(searches, whole / 2) == 0.2
    assert figures.time_to_reach(searches, whole) == 0.6
    assert figures.time_to_reach(searches, whole * 1.01) is None


def test_the_operator_searches_in_simulated_time_and_repeats_itself() -> None:
    given = {"workers": 3, "gpu_seconds": 20 * 3600.0, "seed": 1}
    first, again = (ours.search(PROBLEM, **given) for _ in range(2))  # type: ignore[arg-type]
    assert first == again
    finished = [end for end in first.ended if not end.stopped]
    assert finished
    for end in first.ended:
        assert end.trial == Training(PROBLEM, end.trial.parameters, 1).whole(end.trial.number)
        if end.stopped and collapses(end.trial.parameters):
            assert end.trial.metrics["HasAns_exact"] < 1
    assert all(end.gpu_seconds <= given["gpu_seconds"] for end in first.ended[:-1])


def test_a_stopped_attempt_tells_what_it_had_reached_and_the_next_goes_on_from_there() -> None:
    request = Request(
        "simulated", Stage.TRAIN, Data(), None, Student(), "", "0", parameters=training().parameters
    )
    whole = ours.training(PROBLEM, request.parameters, 1).seconds

    async def stop_twice() -> None:
        world = ours.World(PROBLEM, seed=1)
        for number, share, rung in ((1, 0.6, 300), (2, 0.9, 300), (3, 1.0, 900)):
            await world.start(Launch(Stage.TRAIN, 0, number), request)
            world.now = share * whole
            if share < 1.0:
                await world.stop((await world.list())[-1])
            *_, report = await world.read(await world.list())
            assert report is not None
            assert (report.step, report.metric_step) == (round(share * ours.STEPS), rung)

    asyncio.run(stop_twice())


def test_the_command_compares_all_contestants(tmp_path: Path) -> None:
    plot = tmp_path / "search.png"
    command: list[str | Path] = [sys.executable, SEARCH, "--quick", "--plot", plot]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert ran.returncode == 0, ran.stderr
    *table, last = ran.stdout.splitlines()
    told = json.loads(last)
    for problem in ("recorded", "synthetic"):
        figures_of = told[f"{problem}, 4 workers"]
        assert set(figures_of) == {
            "gpu_time_ratio",
            "gpu_time_ratio_of_shorter",
            "final_ratio",
            "stopping_gpu_time_ratio",
            "wrongly_stopped_ratio",
        }
        assert len(figures_of["gpu_time_ratio_of_shorter"]) == 3
    assert told["decide_and_suggest_seconds"] > 0
    for name in (
        "random", "NSGA-II", "TPE", "TPE, constrained", "MO-ASHA",
        "Distillery, whole", "Distillery",
    ):  # fmt: skip
        assert sum(line.startswith(f"{name} ") for line in table) == 2
    assert plot.read_bytes().startswith(b"\x89PNG")
