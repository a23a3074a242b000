"""The benchmark's volumes and scores, on fronts whose sums are known."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from contest import graph, score, truth
from contest.clock import History
from contest.graph import Graph
from contest.problems import Parameters, Training
from contest.score import Score
from contest.synthetic import Synthetic
from distillery_contract.parameters import Value

GOOD: Parameters = {
    "n_layers": 4, "n_heads": 12, "layer_selection": "First", "learning_rate": 4e-4,
    "alpha_ce": 0.7, "temperature": 3.5, "dropout": 0.1, "attention_dropout": 0.08,
}  # fmt: skip


class Told(Synthetic):
    """What students have in truth and are measured as is told by their layers; threshold 75."""

    def __init__(self, true: Mapping[int, float], luck: Mapping[int, float]) -> None:
        super().__init__()
        self._true, self._luck = true, luck

    def size(self, parameters: Parameters) -> int:
        return int(parameters.get("n_layers", 12))

    def metrics(self, parameters: Parameters, share: float, seed: int) -> dict[str, float]:
        layers = int(parameters["n_layers"])
        seen = self._true[layers] + self._luck.get(layers, 0.0)
        return {"exact": seen, "HasAns_exact": seen, "NoAns_exact": seen}

    def true_exact(self, many: Sequence[Parameters]) -> NDArray[np.float64]:
        return np.array([self._true[int(point["n_layers"])] for point in many])


def ended(problem: Synthetic, *layers: int, stopped: Sequence[int] = ()) -> History:
    """Return a search whose trainings end one after the other."""
    history = History()
    for place, each in enumerate(layers, 1):
        parameters: dict[str, Value] = {**GOOD, "n_layers": each}
        found = Training(problem, parameters, 0).whole(place)
        history.add(float(place), found, stopped=each in stopped)
    return history


def scored(problem: Synthetic, history: History, best: float) -> Score:
    """Score a search of ten seconds by a best volume."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(score, "best_volume", lambda problem: best)
        return score.score(problem, history, 10.0)


@pytest.mark.parametrize(
    ("sizes", "values", "expected"),
    [
        ([], [], 0.0),
        ([4], [80], 8 * 5),
        ([4, 8], [80, 90], 4 * 5 + 4 * 15),
        ([8, 4], [90, 80], 4 * 5 + 4 * 15),
        ([4, 8], [80, 79], 8 * 5),  # larger and worse
        ([4, 4], [80, 82], 8 * 7),
        ([4, 8], [74, 90], 4 * 15),  # below the threshold
        ([4, 14], [80, 90], 8 * 5),  # larger than the largest
    ],
)
def test_the_volume_of_a_front_is_the_area_below_its_steps(
    sizes: Sequence[float], values: Sequence[float], expected: float
) -> None:
    assert truth.volume(sizes, values, 75, 12) == expected


def test_the_front_goes_by_what_was_measured_and_its_worth_by_the_truth() -> None:
    problem = Told({3: 70.0, 6: 85.0, 7: 86.0, 9: 91.0}, {3: 10.0, 6: 5.0, 7: -3.0})
    found = scored(problem, ended(problem, 3, 6, 7, 9), best=100.0)
    # 7 layers were measured as worse than 6 and never stood on the front; 3 miss the threshold.
    assert found.times == [0.1, 0.2, 0.4]
    assert found.measured == pytest.approx([0.45, 0.15 + 0.90, 0.15 + 0.45 + 0.48])
    assert found.true == pytest.approx([0.0, 0.60, 0.30 + 0.48])
    # Of 10 and 5 points of luck 8 and 4 are kept: 78, 89 and 91.
    assert found.kept == pytest.approx([0.27, 0.09 + 0.84, 0.09 + 0.42 + 0.48])
    assert (found.points, found.missed, found.overstated) == (3, 1, 5.0)


def test_a_volume_holds_until_the_next_one() -> None:
    problem = Told({3: 80.0, 6: 85.0}, {})
    found = scored(problem, ended(problem, 6, 3), best=100.0)
    assert found.at("true", np.array([0.0, 0.05, 0.1, 0.15, 0.2, 1.0])) == pytest.approx(
        [0, 0, 0.6, 0.6, 0.75, 0.75]
    )
    assert found.final("true") == pytest.approx(0.75)
    assert scored(problem, History(), best=1.0).final("true") == 0.0


def test_what_was_stopped_is_wrong_if_it_would_have_stood_on_the_front() -> None:
    problem = Told({2: 70.0, 3: 80.0, 6: 85.0}, {})
    history = ended(problem, 6, 3, 2, stopped=[3, 2])
    history.add(9.0, history.ended[1].trial, stopped=True, trained=False)
    found = scored(problem, history, best=100.0)
    assert (found.finished, found.stopped, found.untrained, found.wrong) == (1, 2, 1, 2)
    assert found.final("true") == pytest.approx(0.6)
    # One that goes on later is neither stopped nor wrong.
    history.add(10.0, history.ended[1].trial, stopped=False)
    found = scored(problem, history, best=100.0)
    assert (found.finished, found.stopped, found.untrained, found.wrong) == (2, 1, 0, 0)


def test_the_best_true_front_of_a_table_is_that_of_all_its_lines() -> None:
    problem, lines = Graph(), graph.table().values()
    best = truth.volume(
        [line.weights for line in lines], [line.true for line in lines],
        graph.THRESHOLD, problem.size({}),
    )  # fmt: skip
    assert truth.best_volume(problem) == pytest.approx(best)


def test_the_best_true_front_is_found_where_the_space_is_endless() -> None:
    class Peaked(Synthetic):
        def size(self, parameters: Parameters) -> int:
            return int(parameters.get("n_layers", 12))

        def true_exact(self, many: Sequence[Parameters]) -> NDArray[np.float64]:
            away = [abs(float(p["alpha_ce"]) - 0.4) + abs(float(p["dropout"]) - 0.3) for p in many]
            return 90.0 - 100 * np.array(away) * [p["n_layers"] == 6 for p in many]

    # The smallest student is as good as any; the peak of six layers lies inside a range.
    sizes, values = truth.best_points(Peaked())
    assert values[sizes.index(6.0)] == pytest.approx(90.0, abs=0.5)
    assert truth.best_volume(Peaked()) == pytest.approx(11 * 15)


def test_networks_of_the_same_function_are_the_same_line() -> None:
    problem = Graph()
    first = dict(zip((graph.STRUCTURE, *graph.OPERATIONS), sorted(graph.table())[0], strict=True))
    assert len(graph.table()) == 9 * 9**4
    assert len({id(line) for line in graph.table().values()} - {id(graph.NOTHING)}) == 26_206
    assert problem.metrics(first, 1.0, 1) == problem.metrics(first, 1.0, 2)
