"""A picture of a dashboard: its panels' own queries, asked of a Prometheus, drawn by matplotlib.

It is not Grafana: places, titles, units, colours and numbers are those of the dashboard, and the
rest looks different. bench/pictures.py draws those of docs/observe.md.
"""

import json
import re
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, Final, NamedTuple

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

Object = dict[str, Any]

PAGE, PAPER, INK, PALE = "#111217", "#181b1f", "#ccccdc", "#757579"
CYCLE: Final = ("#0766fa", "#52f3d6", "#fde391", "#de7feb", "#eb3938", "#f2a93b", "#9aa0aa")
COLUMNS: Final = 24
INCHES: Final = (0.7, 0.34)
"""Of a unit of the dashboards' grid."""
STEPS: Final = 300
"""Of a time series, over the span of the picture."""
POWERS: Final = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


class Frame(NamedTuple):
    """One series that a query has found: its name in the legend, labels, moments and values."""

    name: str
    labels: Mapping[str, str]
    points: Sequence[tuple[float, float]]

    @property
    def last(self) -> float:
        """Its latest value."""
        return self.points[-1][1]


@dataclass(frozen=True)
class Source:
    """A Prometheus, the dashboards' variables, and the span of time that is shown, in seconds."""

    url: str
    variables: Mapping[str, str]
    begun: float
    ended: float

    def filled(self, text: str) -> str:
        """Return a text with the variables' values in it."""
        known = self.variables
        return re.sub(r"\$(\w+)", lambda found: known.get(found[1], found[0]), text)

    def ask(self, target: Object) -> list[Frame]:
        """Return what a panel's query finds, over time or at the end."""
        asked: Object = {"query": self.filled(target["expr"])}
        if target.get("range"):
            step = max(1.0, (self.ended - self.begun) / STEPS)
            asked |= {"start": self.begun, "end": self.ended, "step": step}
            path = "query_range"
        else:
            asked["time"], path = self.ended, "query"
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(asked)}"
        with urllib.request.urlopen(url) as answer:
            found = json.load(answer)["data"]["result"]
        frames = []
        for one in found:
            pairs = one.get("values") or [one["value"]]
            points = [(t, float(v)) for t, v in pairs if isfinite(float(v))]
            if points:
                frames.append(Frame(self._name(target, one["metric"]), one["metric"], points))
        return frames

    def _name(self, target: Object, labels: Mapping[str, str]) -> str:
        legend = self.filled(target.get("legendFormat") or "__auto")
        if legend == "__auto":
            return ", ".join(labels.values())
        return re.sub(r"{{\s*(\w+)\s*}}", lambda found: labels.get(found[1], ""), legend)


def draw(document: Object, source: Source, path: Path) -> None:
    """Draw a dashboard into a file."""
    height = max(p["gridPos"]["y"] + p["gridPos"]["h"] for p in document["panels"])
    figure = plt.figure(figsize=(COLUMNS * INCHES[0], height * INCHES[1]), facecolor=PAGE)
    for panel in document["panels"]:
        place = panel["gridPos"]
        left, top = place["x"] / COLUMNS, 1 - place["y"] / height
        wide, high = place["w"] / COLUMNS, place["h"] / height
        if panel["type"] == "row":
            middle = top - high / 2
            figure.text(left + 0.003, middle, panel["title"], color=INK, size=12, va="center")
            continue
        gap, unit = 0.002, 1 / height
        back = (left + gap, top - high + 0.1 * unit, wide - 2 * gap, high - 0.2 * unit)
        paper = figure.add_axes(back, facecolor=PAPER)
        paper.set(xticks=[], yticks=[])
        paper.spines[:].set_visible(False)
        title = source.filled(panel["title"])
        head = top - 0.7 * unit
        figure.text(left + 0.006, head, title, color=INK, size=10, va="center", weight="bold")
        legend = 2.2 if panel["type"] in ("timeseries", "xychart") else 0.4
        inner = 0.035 if panel["type"] in ("timeseries", "xychart") else 0.006
        inside = (left + inner, top - high + legend * unit, wide - inner - 0.01,
                  high - (1.4 + legend) * unit)  # fmt: skip
        axes = figure.add_axes(inside, facecolor=PAPER)
        frames = [source.ask(target) for target in panel["targets"]]
        DRAWN[panel["type"]](axes, panel, frames, source)
    figure.savefig(path, dpi=72, facecolor=PAGE)
    plt.close(figure)


def _stat(axes: Axes, panel: Object, frames: list[list[Frame]], source: Source) -> None:
    axes.axis("off")
    found = [frame for each in frames for frame in each]
    shown, colour = panel["fieldConfig"]["defaults"]["noValue"], INK
    if found:
        named = panel["options"].get("textMode") == "name"
        shown = found[0].name if named else _words(panel, found[0].last)
        colour = _colour(panel, found[0], INK)
    behind = found and panel["options"].get("colorMode") == "background"
    box = {"facecolor": colour, "edgecolor": "none", "pad": 8} if behind else None
    ink = PAGE if behind else INK
    axes.text(0.5, 0.5, shown, color=ink, size=20, ha="center", va="center", bbox=box)


def _series(axes: Axes, panel: Object, frames: list[list[Frame]], source: Source) -> None:
    found = [frame for each in frames for frame in each]
    if not found:
        _nothing(axes, panel)
        return
    stacked = panel["fieldConfig"]["defaults"].get("custom", {}).get("stacking")
    below: dict[float, float] = {}
    for number, frame in enumerate(found):
        colour = _colour(panel, frame, CYCLE[number % len(CYCLE)])
        times = [(t - source.begun) / 60 for t, _ in frame.points]
        base = [below.get(t, 0.0) if stacked else 0.0 for t, _ in frame.points]
        values = [v + b for (_, v), b in zip(frame.points, base, strict=True)]
        name = f"{frame.name}  {_words(panel, frame.last)}"
        axes.plot(times, values, color=colour, linewidth=1.4, label=name)
        if stacked:
            axes.fill_between(times, base, values, color=colour, alpha=0.6, linewidth=0)
            below |= {t: v for (t, _), v in zip(frame.points, values, strict=True)}
    axes.set_xlim(0, (source.ended - source.begun) / 60)
    axes.xaxis.set_major_formatter(lambda minutes, _: f"{minutes:g} min")
    axes.yaxis.set_major_formatter(lambda value, _: _words(panel, value))
    _lined(axes)


def _points(axes: Axes, panel: Object, frames: list[list[Frame]], source: Source) -> None:
    for pair, shown in enumerate(panel["options"]["series"]):
        across, up = (_joined(each) for each in frames[2 * pair : 2 * pair + 2])
        both = sorted((across[key], up[key]) for key in across.keys() & up.keys())
        name = source.filled(shown["name"]["fixed"])
        style = _override(panel, shown["name"]["fixed"])
        line = "-" if "line" in str(style.get("custom.show", "")) else ""
        colour = (style.get("color") or {}).get("fixedColor", CYCLE[pair])
        if both:
            xs, ys = zip(*both, strict=True)
            axes.plot(xs, ys, marker="o", linestyle=line, color=colour, label=name, alpha=0.8)
        label = _override(panel, shown["x"]["matcher"]["options"]).get("custom.axisLabel", "")
        axes.set_xlabel(source.filled(str(label)), color=INK, size=8)
    custom = panel["fieldConfig"]["defaults"].get("custom", {})
    axes.set_ylabel(source.filled(custom.get("axisLabel", "")), color=INK, size=8)
    axes.xaxis.set_major_formatter(lambda value, _: _number(value))
    axes.yaxis.set_major_formatter(lambda value, _: _words(panel, value))
    if not axes.lines:
        _nothing(axes, panel)
        return
    _lined(axes)


def _joined(frames: list[Frame]) -> dict[Any, float]:
    """Return values by what joins two queries: the moment, or the labels."""
    if len(frames) == 1 and len(frames[0].points) > 1:
        return {round(t): value for t, value in frames[0].points}
    return {tuple(sorted(f.labels.items())): f.last for f in frames}


def _bars(axes: Axes, panel: Object, frames: list[list[Frame]], source: Source) -> None:
    found = [frame for each in frames for frame in each][::-1]
    if not found:
        _nothing(axes, panel)
        return
    defaults = panel["fieldConfig"]["defaults"]
    most = defaults.get("max") or max(frame.last for frame in found) or 1.0
    for place, frame in enumerate(found):
        colour = _colour(panel, frame, CYCLE[0])
        axes.barh(place, most, color="#22252b", height=0.6)
        axes.barh(place, min(frame.last, most), color=colour, height=0.6)
        axes.text(0, place + 0.32, frame.name, color=INK, size=8, va="bottom")
        axes.text(most, place, f" {_words(panel, frame.last)}", color=INK, size=9, va="center")
    axes.set_xlim(0, most * 1.2)
    axes.set_ylim(-0.6, max(len(found), 4) - 0.2)
    axes.axis("off")


def _table(axes: Axes, panel: Object, frames: list[list[Frame]], source: Source) -> None:
    axes.axis("off")
    rows = _rows(panel, frames)
    if not rows:
        _nothing(axes, panel)
        return
    columns = list(dict.fromkeys(column for row in rows for column in row))
    most = max(1, int(panel["gridPos"]["h"] * 0.8))
    cells = [[_cell(panel, name, row.get(name, "")) for name in columns] for row in rows[:most]]
    made = axes.table(cells, colLabels=columns, loc="upper left", cellLoc="left", edges="B")
    made.auto_set_font_size(False)
    made.set_fontsize(8)
    for cell in made.get_celld().values():
        cell.get_text().set_color(INK)
        cell.set_edgecolor("#2c3235")


def _rows(panel: Object, frames: list[list[Frame]]) -> list[dict[str, Any]]:
    """Return a table's rows: a matrix, or queries merged by the labels that they share."""
    steps = {step["id"]: step["options"] for step in panel.get("transformations", [])}
    renamed = steps.get("organize", {}).get("renameByName", {})
    hidden = {k for k, v in steps.get("organize", {}).get("excludeByName", {}).items() if v}
    rows: dict[Any, dict[str, Any]] = {}
    if matrix := steps.get("groupingToMatrix"):
        row, column = matrix["rowField"], matrix["columnField"]
        for frame in frames[0]:
            key = frame.labels[row]
            rows.setdefault(key, {row: key})[frame.labels[column]] = frame.last
        return [rows[key] for key in sorted(rows, key=lambda key: (len(key), key))]
    shared = set.intersection(*({*f.labels} for each in frames for f in each), {"experiment"})
    for target, each in zip(panel["targets"], frames, strict=True):
        value = "Value" if len(frames) == 1 else f"Value #{target['refId']}"
        for number, frame in enumerate(each):
            row_of = tuple(frame.labels[k] for k in sorted(shared)) or number
            rows.setdefault(row_of, {}).update({**frame.labels, value: frame.last})
    return [
        {renamed.get(name, name): cell for name, cell in row.items() if name not in hidden}
        for row in rows.values()
    ]


def _cell(panel: Object, column: str, value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return _words(panel, value, str(_override(panel, column).get("unit", "")))


def _override(panel: Object, name: str) -> dict[str, Any]:
    """Return the properties of a field by its name; of several rules the last one counts."""
    found: dict[str, Any] = {}
    for rule in panel["fieldConfig"].get("overrides", []):
        options = rule["matcher"]["options"]
        pattern = rule["matcher"]["id"] == "byRegexp" and re.search(options.strip("/"), name)
        if options == name or pattern:
            found |= {each["id"]: each["value"] for each in rule["properties"]}
    return found


def _colour(panel: Object, frame: Frame, default: str) -> str:
    fixed = (_override(panel, frame.name).get("color") or {}).get("fixedColor")
    if fixed:
        return str(fixed)
    steps = panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", [])
    reached = [s["color"] for s in steps if s["value"] is None or frame.last >= s["value"]]
    return str(reached[-1]) if reached and reached[-1].startswith("#") else default


def _words(panel: Object, value: float, unit: str = "") -> str:
    """Return a value as the panel's unit has it."""
    defaults = panel["fieldConfig"]["defaults"]
    for mapping in defaults.get("mappings", []):
        if mapping["type"] == "value" and (hit := mapping["options"].get(f"{value:g}")):
            return str(hit["text"])
    match unit or defaults["unit"]:
        case "percentunit":
            return f"{100 * value:.0f} %"
        case "percent":
            return f"{value:.3g} %"
        case "s" if abs(value) >= 90:
            return f"{value / 60:.3g} min" if value < 5400 else f"{value / 3600:.3g} h"
        case "bytes":
            return f"{value / 2**20:.4g} MiB"
        case "reqps":
            return f"{_number(value)}/s"
        case "short":
            return _number(value)
        case other:
            return f"{_number(value)} {other.removeprefix('suffix:').strip()}"


def _number(value: float) -> str:
    for size, letter in POWERS:
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def _nothing(axes: Axes, panel: Object) -> None:
    axes.axis("off")
    shown = panel["fieldConfig"]["defaults"]["noValue"]
    axes.text(0.5, 0.5, shown, color=PALE, size=12, ha="center", transform=axes.transAxes)


def _lined(axes: Axes) -> None:
    axes.tick_params(colors=INK, labelsize=8, length=0)
    axes.grid(color="#2c3235", linewidth=0.6)
    axes.spines[:].set_visible(False)
    axes.legend(loc="upper left", bbox_to_anchor=(-0.02, -0.13), ncols=3, fontsize=7,
                labelcolor=INK, frameon=False, handlelength=1)  # fmt: skip


DRAWN: Final = {
    "stat": _stat,
    "timeseries": _series,
    "xychart": _points,
    "bargauge": _bars,
    "table": _table,
}
