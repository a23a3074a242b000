"""Draws hypervolume over GPU time: a panel per problem and number of workers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import matplotlib
import numpy as np

from contest.figures import Search

matplotlib.use("agg")

from matplotlib import pyplot

COLOURS: Final = ("#9aa0a6", "#b07aa1", "#4e79a7", "#76b7b2", "#f28e2b", "#e7969c", "#d62728")
SUFFIXES: Final = (".png", ".svg", ".pdf")
TIMES: Final = np.linspace(0, 1, 400)


def draw(arenas: Mapping[tuple[str, int], Mapping[str, Sequence[Search]]], path: Path) -> None:
    """Write the plot: a line for each contestant's mean, a band for its standard error."""
    figure, panels = pyplot.subplots(
        1, len(arenas), figsize=(4.6 * len(arenas), 4.2), squeeze=False, layout="constrained"
    )
    for panel, ((problem, workers), searches) in zip(panels[0], arenas.items(), strict=True):
        best = max(one.final for many in searches.values() for one in many)
        for colour, (name, many) in zip(COLOURS[-len(searches) :], searches.items(), strict=True):
            volumes = np.array([one.at(TIMES) for one in many]) / best
            mean, error = volumes.mean(axis=0), volumes.std(axis=0) / len(many) ** 0.5
            panel.plot(TIMES, mean, color=colour, label=name, linewidth=2)
            panel.fill_between(
                TIMES, mean - error, mean + error, color=colour, alpha=0.15, linewidth=0
            )
        panel.set_title(f"{problem} problem, {workers} worker{'s' * (workers > 1)}")
        panel.set_xlabel("GPU time spent")
        panel.xaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1.0))
        panel.grid(alpha=0.25)
    panels[0][0].set_ylabel("hypervolume, best search = 1")
    panels[0][-1].legend(loc="lower right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
