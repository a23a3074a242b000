"""The benchmark of searches: its command in a tiny configuration, and how it counts."""

import asyncio
import json
import statistics
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import deciding
import search
from contest import clock, environments, ours, peer, problems
from contest.graph import Graph
from contest.problems import RUNGS, Metrics, Parameters, Problem, Training, sample
from contest.recorded import Recorded
from contest.synthetic import Synthetic, collapses
from distillery_contract.parameters import Value
from distillery_contract.request import Data, Request, Stage, Student
from distillery_contract.wire import Exit
from distillery_operator.engine.actions import Launch
from distillery_operator.resource.sampler import SamplerType
from distillery_operator.search import gaussian_process, promise
from distillery_operator.search.gaussian_process import Array, Flags
from distillery_operator.trials import pareto

PROBLEM = Synthetic()
GOOD: Parameters = {
    "n_layers": 4, "n_heads": 12, "layer_selection": "First", "learning_rate": 4e-4,
    "alpha_ce": 0.7, "temperature": 3.5, "dropout": 0.1, "attention_dropout": 0.08,
}  # fmt: skip


def training(**changes: Value) -> Training:
    return Training(PROBLEM, {**GOOD, **changes}, seed=0)


class Timed(Synthetic):
    """A training's steps take 90 s, each of its evaluations 5 s."""

    def seconds(self, parameters: Parameters, seed: int) -> float:
        return 90.0

    def evaluation_seconds(self, parameters: Parameters) -> float:
        return 5.0


class Halting:
    """Suggests a fixed sample, and stops every second training at its first rung."""

    def __init__(self, marks: Sequence[float] = (*RUNGS, 1.0)) -> None:
        self.marks = marks
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
    history = clock.search(Timed(), contestant, workers=1, gpu_seconds=259.0, seed=3)
    # Stopped after 10 + 5 s, or at its end after 90 + 3 * 5 s.
    assert [(round(end.gpu_seconds, 9), end.stopped) for end in history.ended] == [
        (15.0, True), (120.0, False), (135.0, True), (240.0, False), (255.0, True),
    ]  # fmt: skip
    for end, training in zip(history.ended, sample(PROBLEM, 5, 3), strict=True):
        assert end.trial.parameters == training.parameters
    assert contestant.seen[:4] == [(0, 1 / 9), (1, 1 / 9), (1, 1 / 3), (1, 1.0)]


def test_who_never_looks_on_pays_for_the_evaluation_at_the_end_alone() -> None:
    contestant = Halting(marks=(1.0,))
    history = clock.search(Timed(), contestant, workers=1, gpu_seconds=190.0, seed=3)
    assert [(end.gpu_seconds, end.stopped) for end in history.ended] == [
        (95.0, False), (190.0, False),
    ]  # fmt: skip
    assert contestant.seen == [(0, 1.0), (1, 1.0)]


def test_two_workers_spend_twice_the_time_that_passes() -> None:
    history = clock.search(Timed(), Halting(), workers=2, gpu_seconds=100.0, seed=3)
    assert round(history.ended[0].gpu_seconds, 9) == 2 * 15.0


def test_the_budget_is_in_trainings_that_are_evaluated_at_their_end() -> None:
    assert problems.mean_seconds(Timed()) == 95.0


@pytest.mark.parametrize(
    ("problem", "share"), [(Recorded(price=0.08), 0.08), (Recorded(price=0.01), 0.01)]
)
def test_an_evaluation_has_the_price_that_is_asked_for(problem: Problem, share: float) -> None:
    for found in sample(problem, 5, seed=0):
        assert found.evaluation_seconds == pytest.approx(share * found.seconds)


def test_an_evaluation_takes_a_hundredth_of_the_mean_training() -> None:
    found = sample(PROBLEM, 300, seed=0)
    stepping = statistics.fmean(training.seconds for training in found)
    assert found[0].evaluation_seconds == pytest.approx(0.01 * stepping)


def test_the_peer_ranks_by_layers_and_inside_one_by_an_epsilon_net() -> None:
    chance = np.random.default_rng(5)
    scales = np.array([100.0, 6e7])
    sets = [(scales * chance.random((count, 2))).tolist() for count in (1, 2, 9, 40, 120)]
    front = [[float(n), 1e6 / (n + 1)] for n in range(12)]  # a single layer
    asked = json.dumps([*sets, front])
    rank = "import json, numpy, sys, syne; order = syne.Ranks(); print(json.dumps("
    rank += "[order(numpy.array(costs)).tolist() for costs in json.load(sys.stdin)]))"
    ran = subprocess.run(
        [environments.interpreter(), "-c", rank],
        input=asked, capture_output=True, text=True, check=True, cwd=Path(peer.__file__).parent,
    )  # fmt: skip
    for costs, ranks in zip([*sets, front], json.loads(ran.stdout), strict=True):
        ranking = pareto.Ranking(costs)
        assert ranks == [ranking.place(point) for point in range(len(costs))]


def test_the_operator_searches_in_simulated_time_and_repeats_itself() -> None:
    given = {"workers": 3, "gpu_seconds": 20 * 3600.0, "seed": 1}
    first, again = (ours.search(PROBLEM, **given) for _ in range(2))  # type: ignore[arg-type]
    assert first == again
    finished = [end for end in first.ended if not end.stopped]
    assert finished
    for end in first.ended:
        assert end.trial == Training(PROBLEM, end.trial.parameters, 1).whole(end.trial.number)
        assert end.trained or end.stopped
        if end.stopped and collapses(end.trial.parameters):
            assert end.trial.metrics["HasAns_exact"] < 1
    assert all(end.gpu_seconds <= given["gpu_seconds"] for end in first.ended[:-1])


def test_a_search_ends_where_nothing_is_left_to_suggest() -> None:
    small = Graph()
    spec = small.experiment.spec
    first, *others = spec.parameters
    few = [first.model_copy(update={"choices": (first.choices or [])[:2]})]
    few += [p.model_copy(update={"choices": (p.choices or [])[:1]}) for p in others]
    own = {"spec": spec.model_copy(update={"parameters": few})}
    small.experiment = small.experiment.model_copy(update=own)
    found = ours.search(small, workers=3, gpu_seconds=1e9, seed=0, sampler=SamplerType.GRID)
    assert [end.trial.parameters[first.name] for end in found.ended] == few[0].choices


def ordered(rungs: Sequence[float]) -> Request:
    return Request(
        "simulated", Stage.TRAIN, Data(), None, Student(), "", "0",
        parameters=training().parameters, rungs=rungs,
    )  # fmt: skip


async def told(world: ours.World) -> tuple[float, int | None, int | None, bool]:
    """Return the time, and what the latest attempt tells then: steps, steps measured, the end."""
    *_, report = await world.read(await world.list())
    assert report is not None
    return round(world.now, 9), report.step, report.metric_step, report.final


@pytest.mark.parametrize(
    ("rungs", "expected"),
    [
        ((0.11, 0.33), [(15, 100, 100, False), (40, 300, 300, False), (105, 900, 900, True)]),
        ((), [(95, 900, 900, True)]),
    ],
)
def test_an_attempt_takes_an_evaluation_more_at_each_rung_and_at_its_end(
    rungs: Sequence[float], expected: Sequence[tuple[float, int, int, bool]]
) -> None:
    async def train() -> None:
        world = ours.World(Timed(), seed=1)
        await world.start(Launch(Stage.TRAIN, 0, 1), ordered(rungs))
        for point in expected:
            assert [attempt.live for attempt in await world.list()] == [True]
            world.advance()
            assert await told(world) == point
        assert [attempt.exit_code for attempt in await world.list()] == [Exit.OK]

    asyncio.run(train())


def test_what_is_measured_is_known_when_its_evaluation_has_ended() -> None:
    async def look() -> None:
        world = ours.World(Timed(), seed=1)
        await world.start(Launch(Stage.TRAIN, 0, 1), ordered((0.11, 0.33)))
        for point in (
            (9, 90, None, False), (14, 100, None, False), (15, 100, 100, False),
            (25, 200, 100, False), (39, 300, 100, False), (103, 900, 300, False),
        ):  # fmt: skip
            world.now = point[0]
            assert await told(world) == point

    asyncio.run(look())


def test_a_stopped_attempt_goes_on_from_the_share_that_it_had_reached() -> None:
    async def stop_twice() -> None:
        world = ours.World(Timed(), seed=1)
        for number, now, *reached in (
            (1, 12, 100, None, False),  # while it is evaluated, which is done again
            (2, 52, 400, 300, False),  # 12 + 5 s, 20 + 5 s to the next rung, then 10 s
            (3, 107, 900, 900, True),  # 50 + 5 s
        ):
            await world.start(Launch(Stage.TRAIN, 0, number), ordered((0.11, 0.33)))
            if number < 3:
                world.now = now
                await world.stop((await world.list())[-1], "Suspended")
            else:
                world.advance()
            assert await told(world) == (now, *reached)
        assert (await world.list())[-1].exit_code is Exit.OK

    asyncio.run(stop_twice())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["--seeds", "1"],
            "argument --seeds: must be a whole number of at least 2, but got '1'",
        ),
        (["--trainings", "0"], "--trainings: must be a whole number of at least 1, but got '0'"),
        (
            ["--workers", "20", "-1"],
            "--workers: must be a whole number of at least 1, but got '-1'",
        ),
        (["--jobs", "two"], "--jobs: must be a whole number of at least 1, but got 'two'"),
        (["--first-seed", "1.5"], "--first-seed: must be a whole number of at least 0"),
        (["--plot", "search.pgn"], "--plot: must end with one of .png, .svg, .pdf"),
    ],
)
def test_what_cannot_be_searched_is_refused(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        search.asked(words)
    assert said in capsys.readouterr().err


def test_the_suggestions_that_are_timed_learn_from_ends_that_were_expected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    learnt: list[int] = []

    class Noted(gaussian_process.Process):
        def __init__(self, places: Array, sizes: Array, ends: Array, guessed: Flags) -> None:
            learnt.append(len(ends))
            assert guessed.sum() in (0, 60)  # as to the chance, whether it was stopped is nothing
            super().__init__(places, sizes, ends, guessed)

    monkeypatch.setattr(promise, "Process", Noted)
    deciding.measure(90, 3)
    assert set(learnt) == {90}  # 30 that ended, 60 that were stopped
    assert len(learnt) >= deciding.REPEATS


def test_quick_means_other_defaults() -> None:
    quick = search.asked(["--quick", "--workers", "3"])
    assert (quick.seeds, quick.trainings, quick.workers, quick.plot) == (2, 12, [3], None)
    assert search.asked([]).seeds == 20
