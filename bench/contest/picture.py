"""Draws true volume over GPU time: a panel per problem and number of workers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import matplotlib
import numpy as np

from contest.comparison import Scores
from contest.contestants import CONTESTANTS, OURS

matplotlib.use("agg")

from matplotlib import pyplot

COLOURS: Final = {
    name: pyplot.get_cmap("tab20")(place) for place, name in enumerate(CONTESTANTS)
} | {OURS: "black"}
SUFFIXES: Final = (".png", ".svg", ".pdf")
TIMES: Final = np.linspace(0, 1, 400)
ACROSS: Final = 4


def draw(arenas: Mapping[tuple[str, int], Scores], path: Path) -> None:
    """Write the plot: a line for each contestant's mean, a band for its standard error."""
    rows = -(-len(arenas) // ACROSS)
    figure, panels = pyplot.subplots(
        rows, min(len(arenas), ACROSS), squeeze=False, sharey=True, layout="constrained",
        figsize=(4.2 * min(len(arenas), ACROSS), 3.8 * rows),
    )  # fmt: skip
    for panel in panels.flat[len(arenas) :]:
        panel.set_visible(False)
    for panel, ((problem, workers), scores) in zip(panels.flat, arenas.items(), strict=False):
        for name, many in scores.items():
            volumes = np.array([score.at("true", TIMES) for score in many.values()])
            mean, error = volumes.mean(axis=0), volumes.std(axis=0) / len(many) ** 0.5
            panel.plot(TIMES, mean, color=COLOURS[name], label=name, linewidth=1.8)
            panel.fill_between(
                TIMES, mean - error, mean + error, color=COLOURS[name], alpha=0.12, linewidth=0
            )
        panel.set_title(f"{problem}, {workers} worker{'s' * (workers > 1)}")
        panel.set_xlabel("GPU time spent")
        panel.xaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1.0))
        panel.grid(alpha=0.25)
    panels[0][0].set_ylabel("true volume, best front = 1")
    lines = {line.get_label(): line for panel in panels.flat for line in panel.get_lines()}
    drawn = [lines[name] for name in CONTESTANTS if name in lines]
    figure.legend(handles=drawn, loc="outside lower center", ncols=2 * min(len(arenas), ACROSS))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
