"""What was measured, side by side: the record of it, tables with ratios, and one JSON object."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

from katib.measure import Part

Figures = Mapping[str, Any]

OURS: Final = "distillery"
COSTS: Final = {
    "api_calls_per_trial": "API calls per trial",
    "cpu_s_per_trial": "CPU seconds per trial",
    "memory_mib": "memory, MiB",
}
LABELS: Final[Mapping[str, Mapping[str, str]]] = {
    "one": {
        "first_p50_s": "refill of the first {refills} freed slots, p50 in s",
        "first_p95_s": "p95 in s",
        "last_p50_s": "refill of {refills} slots after {finished} trials, p50 in s",
        "last_p95_s": "p95 in s",
        **COSTS,
    },
    "many": {
        "creations_per_s": "Jobs created per s, of {slots_allow_per_s} that the slots allow",
        "turnaround_p50_s": "refill of a freed slot, p50 in s",
        "turnaround_p95_s": "p95 in s",
        **COSTS,
    },
}
"""By part: the figures that are compared, in their order."""
TITLES: Final = {
    "one": "One search, {parallelism} trials at a time of {seconds:g} s",
    "many": "{searches} searches at once, each {parallelism} trials at a time of {seconds:g} s",
}


@dataclass(frozen=True)
class Measured:
    """What one part has measured of one side.

    Attributes:
        part: its name.
        side: its name.
        settings: of the part.
        figures: what was measured.
        load: of the machine in the minute before, as the kernel tells it.
        at: when it was measured, in ISO 8601.
    """

    part: str
    side: str
    settings: Mapping[str, float]
    figures: Figures
    load: float
    at: str

    @classmethod
    def now(cls, part: str, side: str, settings: Part, figures: Figures, load: float) -> Self:
        """Return what has just been measured."""
        stamp = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(part, side, asdict(settings), figures, load, stamp)


class Record:
    """A file that keeps what was measured, a line each; without a file it is forgotten."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        text = file.read_text() if file and file.exists() else ""
        self._kept = [Measured(**json.loads(line)) for line in text.splitlines()]

    def add(self, measured: Measured) -> None:
        """Keep what was measured."""
        self._kept.append(measured)
        if self._file:
            with self._file.open("a") as file:
                file.write(json.dumps(asdict(measured)) + "\n")

    def find(self, part: str, side: str, settings: Part) -> Measured | None:
        """Return what was measured last by a part with the same settings."""
        wanted = (part, side, asdict(settings))
        found = [kept for kept in self._kept if (kept.part, kept.side, kept.settings) == wanted]
        return found[-1] if found else None


def ratios(part: str, ours: Figures, other: Figures) -> dict[str, float | None]:
    """Return another side's figures over ours; None where ours is 0."""
    return {key: _ratio(other[key], ours[key]) for key in LABELS[part]}


def table(part: str, measured: Sequence[Measured]) -> str:
    """Return the figures of sides by line, each but ours with its ratio to ours.

    All have the same settings. Without ours there are no ratios.
    """
    known = {**measured[0].settings, **measured[0].figures}
    ours = next((each.figures for each in measured if each.side == OURS), None)
    labels = {key: label.format(**known) for key, label in LABELS[part].items()}
    columns = [["", *labels.values()]]
    for each in measured:
        columns.append([each.side, *(str(each.figures[key]) for key in labels)])
        if ours and each.side != OURS:
            found = ratios(part, ours, each.figures)
            columns.append(
                ["ratio", *("" if ratio is None else f"{ratio:g}" for ratio in found.values())]
            )
    widths = [max(map(len, column)) for column in columns]
    lines = [TITLES[part].format(**known)]
    for label, *cells in zip(*columns, strict=True):
        words = [cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)]
        lines.append("  ".join([label.ljust(widths[0]), *words]).rstrip())
    return "\n".join(lines)


def summary(parts: Mapping[str, Sequence[Measured]]) -> dict[str, Any]:
    """Return all that was measured, with ratios, as one document."""
    found: dict[str, Any] = {"machine": machine()}
    for part, measured in parts.items():
        figures = {each.side: each.figures for each in measured}
        ours = figures.get(OURS)
        others = {side: each for side, each in figures.items() if side != OURS}
        found[part] = {
            "settings": measured[0].settings,
            "figures": figures,
            "ratios": {side: ratios(part, ours, each) for side, each in others.items()}
            if ours
            else {},
            "load": {each.side: each.load for each in measured},
            "at": {each.side: each.at for each in measured},
        }
    return found


def machine() -> dict[str, Any]:
    """Return the processor's name and how many cores this process may use."""
    text = Path("/proc/cpuinfo").read_text()
    (name, *_) = re.findall(r"^model name\s*: (.*)$", text, re.MULTILINE) or ["unknown"]
    return {"processor": name, "cores": len(os.sched_getaffinity(0))}


def load() -> float:
    """Return how many processes wanted to run at a time in the last minute."""
    return round(os.getloadavg()[0], 2)


def _ratio(other: float, ours: float) -> float | None:
    return float(f"{other / ours:.3g}") if ours else None
