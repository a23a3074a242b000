"""A problem that is real and not ours: the architectures of NAS-Bench-Graph on ogbn-arxiv.

Qin, Zhang, Zhang and Zhu (NeurIPS 2022) trained all 26,206 different graph networks of a space of
four operations on one of nine macro structures, with three seeds each, and published the mean
accuracies, sizes and latencies; the package nas-bench-graph brings the table. A search sees the
accuracy on the validation nodes; the truth is that on the test nodes, moved by the mean difference
of both. There are no curves in the table, so nothing can be stopped, and no seeds, so what is
trained again gives the same. What a training takes is the latency.
"""

import functools
import itertools
import statistics
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import nas_bench_graph
import numpy as np
from nas_bench_graph.architecture import gnn_list, link_list

from contest.problems import DATA, Array, Metrics, Parameters
from distillery_contract.parameters import Kind
from distillery_contract.size import Architecture, Family
from distillery_operator.resource import yaml_files
from distillery_operator.resource.early_stopping import EarlyStopping, StoppingType
from distillery_operator.resource.parameter import Parameter

THRESHOLD: Final = 71.5
"""Percent; six in ten random networks stay below."""

EVALUATION: Final = 0.01
"""An evaluation's part of the mean training."""

STRUCTURE: Final = "warm_up_steps"
OPERATIONS: Final = ("beta_1", "beta_2", "weight_decay", "max_grad_norm")
"""The five choices go by names of hyperparameters, for an experiment has no others."""


class Network(NamedTuple):
    """A line of the table: percent, weights, seconds."""

    seen: float
    true: float
    weights: int
    latency: float


NOTHING: Final = Network(0.0, 0.0, 1, 1e-3)
"""Four operations that all only pass on what they get: the one network that was not trained."""


class Graph:
    """The problem; see :class:`contest.problems.Problem`."""

    name = "graph"
    shaped = False
    rungs: Sequence[float] = ()
    files: Sequence[Path] = (DATA / "synthetic.yaml", Path(__file__))

    def __init__(self) -> None:
        found = yaml_files.read_experiment(DATA / "synthetic.yaml")
        quality, weights = found.spec.objectives
        choices = {STRUCTURE: [*map(_named, link_list)], **dict.fromkeys(OPERATIONS, gnn_list)}
        own = {
            "objectives": [quality.model_copy(update={"threshold": THRESHOLD}), weights],
            "parameters": [
                Parameter(name=name, type=Kind.CATEGORICAL, choices=many)
                for name, many in choices.items()
            ],
            "early_stopping": EarlyStopping(type=StoppingType.NONE, collapse=False),
        }
        self.experiment = found.model_copy(update={"spec": found.spec.model_copy(update=own)})
        self.sources: Mapping[str, Architecture] = {
            "teacher": Architecture(Family.BERT, 8000, 512, 768, 3072, 12, 12, 2)
        }

    def size(self, parameters: Parameters) -> int:
        """Return the weights of a network."""
        return network(parameters).weights if parameters else _largest()

    def metrics(self, parameters: Parameters, share: float, seed: int) -> Metrics:
        """Return the accuracy on the validation nodes, in percent."""
        seen = network(parameters).seen
        return {"exact": seen, "HasAns_exact": seen, "NoAns_exact": seen}

    def true_exact(self, many: Sequence[Parameters]) -> Array:
        """Return the accuracy on the test nodes, moved by the mean difference, of each of n."""
        return np.array([network(parameters).true for parameters in many])

    def seconds(self, parameters: Parameters, seed: int) -> float:
        """Return what stands for how long a training holds its GPU."""
        return network(parameters).latency

    def evaluation_seconds(self, parameters: Parameters) -> float:
        """Return how long an evaluation holds its GPU."""
        return EVALUATION * _mean_latency()


def network(parameters: Parameters) -> Network:
    """Return what the table says."""
    return table()[tuple(str(parameters[name]) for name in (STRUCTURE, *OPERATIONS))]


@functools.cache
def table() -> Mapping[tuple[str, ...], Network]:
    """Return every network of the space; many of its points are the same one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # stored by an earlier numpy
        known = nas_bench_graph.light_read("arxiv")
    shift = statistics.fmean(one["valid_perf"] - one["perf"] for one in known.values())
    lines = {
        key: Network(
            100 * one["valid_perf"],
            100 * (one["perf"] + shift),
            round(1e6 * one["para"]),
            float(one["latency"]),
        )
        for key, one in known.items()
    }
    found: dict[tuple[str, ...], Network] = {}
    for links in link_list:
        for operations in itertools.product(gnn_list, repeat=len(links)):
            key = nas_bench_graph.Arch([*links], [*operations]).valid_hash()
            found[_named(links), *operations] = lines.get(key, NOTHING)
    return found


def _named(links: Sequence[int]) -> str:
    """Return a macro structure as a word: what each operation takes in, 0 the input."""
    return "from " + " ".join(map(str, links))


@functools.cache
def _largest() -> int:
    return max(one.weights for one in table().values())


@functools.cache
def _mean_latency() -> float:
    return statistics.fmean(one.latency for one in table().values())
