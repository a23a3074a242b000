"""Syne Tune's MO-ASHA as a contestant: its own scheduler, in an environment of its own.

The environment is made from pinned, hashed requirements at the first use, in the user's cache.
"""

import functools
import hashlib
import json
import os
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

from contest.problems import RUNGS, Metrics, Parameters, Problem
from distillery_contract.metrics import Direction
from distillery_contract.parameters import Kind
from distillery_operator.resource.parameter import Parameter

HERE: Final = Path(__file__).parent
REQUIREMENTS: Final = HERE / "syne-tune.txt"


class MoAsha:
    """The scheduler behind a pipe; see :class:`contest.clock.Contestant`. Use it in a ``with``."""

    marks: Sequence[float] = (*RUNGS, 1.0)

    def __init__(self, problem: Problem, seed: int) -> None:
        spec = problem.experiment.spec
        self._signs = {
            o.metric: -1 if o.direction is Direction.MAXIMIZE else 1 for o in spec.objectives
        }
        self._process = subprocess.Popen(
            [interpreter(), HERE / "syne.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        space = {parameter.name: domain(parameter) for parameter in spec.parameters}
        self._send({"seed": seed, "space": space, "metrics": list(self._signs)})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def suggest(self) -> Parameters:
        """Ask the scheduler."""
        found: Parameters = self._ask({"what": "suggest"})
        return found

    def goes_on(self, number: int, share: float, metrics: Metrics) -> bool:
        """Hand a result over; tell whether it lets the training go on."""
        asked = {"what": "result", "number": number, "result": self._result(share, metrics)}
        return bool(self._ask(asked) == "CONTINUE")

    def end(self, number: int, metrics: Metrics) -> None:
        """Hand over what a training has reached."""
        self._ask({"what": "end", "number": number, "result": self._result(1.0, metrics)})

    def _result(self, share: float, metrics: Metrics) -> dict[str, float]:
        """Return what is to be minimised, and how far a training is."""
        costs = {metric: sign * metrics[metric] for metric, sign in self._signs.items()}
        return {**costs, "ninths": round(9 * share)}

    def _ask(self, question: Mapping[str, Any]) -> Any:
        self._send(question)
        assert self._process.stdout is not None
        if not (line := self._process.stdout.readline()):
            raise EOFError(f"Syne Tune's process ended with {self._process.wait()}")
        return json.loads(line)

    def _send(self, question: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()


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


@functools.cache
def interpreter() -> Path:
    """Return the Python of Syne Tune's environment, which is made if it is not there."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "distillery")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    shaped_by = hashlib.sha256(REQUIREMENTS.read_bytes() + version.encode()).hexdigest()[:16]
    folder = cache / f"syne-tune-{shaped_by}"
    python, whole = folder / "bin" / "python", folder / "whole"
    if not whole.exists():
        print(f"installing Syne Tune into {folder}", file=sys.stderr)
        venv.create(folder, clear=True, with_pip=True)
        install = ["-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps"]
        subprocess.run([python, *install, "--requirement", REQUIREMENTS], check=True)
        whole.touch()
    return python
