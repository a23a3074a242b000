"""Which colour means what, on every dashboard."""

from collections.abc import Sequence
from typing import Any, Final

Steps = Sequence[tuple[float | None, str]]
"""From which value on which colour; the first has no value."""

COLOURS: Final = {
    "Pending": "#757579",
    "Running": "#0766fa",
    "Completed": "#52f3d6",
    "Infeasible": "#fde391",
    "Stopped": "#de7feb",
    "Failed": "#eb3938",
}
"""Of the states of a trial, wherever they are shown; also who sees no red, no green or no blue can
tell each from all others."""

GOOD, ODD, BAD = COLOURS["Completed"], "#f2a93b", COLOURS["Failed"]
"""What is as it should be, what somebody should look at, what is wrong."""

STATES: Final = {
    "Running": COLOURS["Running"],
    "Preparing": COLOURS["Running"],
    "Succeeded": COLOURS["Completed"],
    "Suspended": COLOURS["Pending"],
}
"""Of the states of an experiment; every other one says what is wrong with it."""


def states(column: str) -> dict[str, dict[str, Any]]:
    """Return the properties of a column that shows states of experiments."""
    known = {word: _mapped(word, colour) for word, colour in STATES.items()}
    others = {"pattern": ".+", "result": {"color": BAD, "index": len(known)}}
    mappings = [{"type": "value", "options": known}, {"type": "regex", "options": others}]
    return {column: {"mappings": mappings, "custom.cellOptions": {"type": "color-text"}}}


def _mapped(word: str, colour: str) -> dict[str, Any]:
    return {"text": word, "color": colour, "index": list(STATES).index(word)}
