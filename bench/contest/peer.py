"""Searches of other libraries as contestants, each in a process and an environment of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

import numpy as np

from contest import environments
from contest.problems import Array, Metrics, Parameters, Problem, threshold
from contest.truth import at
from distillery_contract.metrics import Direction
from distillery_contract.parameters import Kind
from distillery_operator.resource import space
from distillery_operator.resource.parameter import Parameter

HERE: Final = Path(__file__).parent

STARTUP: Final = 10
"""Trainings before BoTorch's process has anything to learn from, as for the other models."""
CANDIDATES: Final = 256
LEADERS: Final = 16


class Peer:
    """A process that answers a line by a line. Use it in a ``with``."""

    def __init__(self, command: Sequence[str | Path], environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def ask(self, question: Mapping[str, Any]) -> Any:
        """Send a line, and return the answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        if not (line := self._process.stdout.readline()):
            raise EOFError(f"{self._process.args!r} ended with {self._process.wait()}")
        return json.loads(line)


class MoAsha(Peer):
    """Syne Tune's own scheduler; see :class:`contest.clock.Contestant`."""

    def __init__(self, problem: Problem, seed: int) -> None:
        super().__init__([environments.interpreter(), HERE / "syne.py"], {})
        self.marks: Sequence[float] = (*problem.rungs, 1.0)
        spec = problem.experiment.spec
        self._signs = {
            o.metric: -1 if o.direction is Direction.MAXIMIZE else 1 for o in spec.objectives
        }
        described = {parameter.name: domain(parameter) for parameter in spec.parameters}
        self.ask({"seed": seed, "space": described, "metrics": list(self._signs)})

    def suggest(self) -> Parameters:
        """Ask the scheduler."""
        found: Parameters = self.ask({"what": "suggest"})
        return found

    def goes_on(self, number: int, share: float, metrics: Metrics) -> bool:
        """Hand a result over; tell whether it lets the training go on."""
        asked = {"what": "result", "number": number, "result": self._result(share, metrics)}
        return bool(self.ask(asked) == "CONTINUE")

    def end(self, number: int, metrics: Metrics) -> None:
        """Hand over what a training has reached."""
        self.ask({"what": "end", "number": number, "result": self._result(1.0, metrics)})

    def _result(self, share: float, metrics: Metrics) -> dict[str, float]:
        """Return what is to be minimised, and how far a training is."""
        costs = {metric: sign * metrics[metric] for metric, sign in self._signs.items()}
        return {**costs, "ninths": round(9 * share)}


class Nehvi(Peer):
    """BoTorch's qLogNEHVI; see :class:`contest.clock.Contestant`.

    The threshold and the teacher's size are its reference point, and the sizes are known to it. It
    chooses among random points and moves of the best; then twice among moves of those chosen.
    """

    marks: Sequence[float] = (1.0,)

    def __init__(self, problem: Problem, seed: int) -> None:
        super().__init__(
            [sys.executable, HERE / "nehvi.py"], {"PYTHONPATH": str(environments.botorch())}
        )
        self._problem, self._dice = problem, np.random.default_rng(seed)
        self._dimensions = len(problem.experiment.spec.parameters)
        self._places: list[Array] = []
        self._values: dict[int, float] = {}
        self.ask({"seed": seed, "threshold": threshold(problem)})

    def suggest(self) -> Parameters:
        """Suggest at random at first, later what promises most."""
        learnt = len(self._values) >= STARTUP
        place = self._promising() if learnt else self._dice.random(self._dimensions)
        self._places.append(place)
        return at(self._problem, place)

    def goes_on(self, number: int, share: float, metrics: Metrics) -> bool:
        """Let it go on; nobody asks."""
        return True

    def end(self, number: int, metrics: Metrics) -> None:
        """Keep what a training has reached."""
        self._values[number] = metrics["exact"]

    def _promising(self) -> Array:
        """Return the place that promises most."""
        done = [*self._values]
        best = sorted(done, key=lambda number: -self._values[number])[:LEADERS]
        random = self._dice.random((CANDIDATES, self._dimensions))
        places = np.vstack([random, self._moved(self._places[n] for n in best)])
        running = [n for n in range(len(self._places)) if n not in self._values]
        known: dict[str, Any] = {
            "points": self._points(self._places[n] for n in done),
            "values": [*self._values.values()],
            "pending": self._points(self._places[n] for n in running),
        }
        gains = np.array(self.ask({**known, "candidates": self._points(places)}))
        for width in (0.1, 0.03):
            nearer = self._moved(places[np.argsort(-gains)[:LEADERS]], width)
            places = np.vstack([places, nearer])
            gains = np.append(gains, self.ask({"candidates": self._points(nearer)}))
        found: Array = places[np.argmax(gains)]
        return found

    def _moved(self, places: Iterable[Array], width: float = 0.2) -> Array:
        """Return moves of places: half of the coordinates by a normal step."""
        many = np.repeat([*places], CANDIDATES // LEADERS, axis=0)
        steps = width * self._dice.standard_normal(many.shape)
        steps *= self._dice.random(many.shape) < 0.5
        found: Array = np.clip(many + steps, 0.0, np.nextafter(1.0, 0.0))
        return found

    def _points(self, places: Iterable[Array]) -> list[list[float]]:
        """Return points as the other process takes them."""
        spec, largest = self._problem.experiment.spec, self._problem.size({})
        many = [at(self._problem, place) for place in places]
        return [
            [*space.coordinates(spec, point), self._problem.size(point) / largest] for point in many
        ]


def domain(parameter: Parameter) -> dict[str, Any]:
    """Return a dimension as the other process takes it."""
    if parameter.choices:
        return {"kind": str(parameter.type), "choices": parameter.choices}
    assert parameter.low is not None
    assert parameter.high is not None
    if parameter.type is Kind.INT and parameter.step:
        steps = range(int(parameter.low), int(parameter.high) + 1, int(parameter.step))
        return {"kind": str(parameter.type), "choices": [*steps]}
    return {
        "kind": str(parameter.type),
        "low": parameter.low,
        "high": parameter.high,
        "log": parameter.log,
    }
