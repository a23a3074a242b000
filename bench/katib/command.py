"""Katib v0.19.0 beside Distillery: both on fresh control planes of the same kind, in one run.

    python bench/katib [one] [many] [--sides distillery katib-hyperopt katib-goptuna] [--quick]

Two parts, measured of each side in turn:

* one: a search with many finished trials, from a freed slot to the next Job;
* many: searches at once: Jobs created per second, and from a freed slot to the next Job.

Of both: API calls, processor time and memory. A pretend kubelet runs the pods, for as long on each
side; studies and metrics are in PostgreSQL. Katib suggests by TPE: by its default service hyperopt,
or by goptuna, which is quicker. Distillery suggests by its default.

In Katib's favour: its services' names are looked up in a file, the services are ready at once, no
sidecar collects metrics, and no early stopping runs. Its trials have one objective, ours have two.

The last line is a JSON object. With --record, what is in the file already is not measured again.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final

import uvloop

from arguments import at_least
from katib import apart, compare, measure, ours, theirs
from katib.compare import Measured, Record
from katib.measure import ManySearches, OneSearch, Part
from katib.side import Side
from measured import setting
from measured.setting import Bench
from support import parts

Running = Callable[[Bench, Sequence[str]], AbstractAsyncContextManager[Side]]
"""Runs a side on a control plane that nobody has used, for searches of given names."""

SIDES: Final[Mapping[str, Running]] = {
    compare.OURS: ours.running,
    "katib-hyperopt": theirs.hyperopt,
    "katib-goptuna": theirs.goptuna,
}
PARTS: Final = ("one", "many")
QUICK: Final = {
    "sides": ["distillery", "katib-hyperopt"],
    "finished": 60, "refills": 20, "seconds": 4,
    "searches": 4, "each": 5, "many_seconds": 6, "watched": 15,
}  # fmt: skip
"""Defaults of a run that only shows that all works; what is asked for beside it counts more."""


def main() -> None:
    """Measure and print."""
    arguments = asked()
    parts.require("control_plane", "postgres", "katib", "openssl")
    apart.leave_network()
    record = Record(arguments.record)
    wanted = settings(arguments)
    for name, part in wanted.items():
        for side in arguments.sides:
            if not record.find(name, side, part):
                print(f"measuring {side}, part {name}", file=sys.stderr)
                load = compare.load()
                figures = uvloop.run(run(part, side))
                record.add(Measured.now(name, side, part, figures, load))
                print(json.dumps({name: {side: figures}}), flush=True)
    found = {
        name: [kept for side in SIDES if (kept := record.find(name, side, part))]
        for name, part in wanted.items()
    }
    for name, sides in found.items():
        print(compare.table(name, sides), end="\n\n")
    print(json.dumps(compare.summary(found)))


async def run(part: Part, side: str) -> compare.Figures:
    """Measure a part of a side, on a control plane that nobody has used."""
    async with (
        setting.running() as bench,
        SIDES[side](bench, measure.names(part.searches)) as running,
    ):
        return await part.measure(bench, running)


def settings(arguments: argparse.Namespace) -> dict[str, Part]:
    """Return the parts that are asked for."""
    one = OneSearch(arguments.finished, arguments.refills, arguments.parallelism, arguments.seconds)
    many = ManySearches(
        arguments.searches, arguments.each, arguments.many_seconds, arguments.watched
    )
    every: dict[str, Part] = dict(zip(PARTS, (one, many), strict=True))
    return {name: part for name, part in every.items() if name in (arguments.parts or PARTS)}


def asked(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("parts", nargs="*", choices=[*PARTS, []], help="(default: both)")
    add("--sides", nargs="+", choices=[*SIDES], default=[*SIDES], help="what is measured")
    add("--finished", type=at_least(1), default=480, help="trials of one search at the second look")
    add("--refills", type=at_least(2), default=100, help="freed slots at each look")
    add("--parallelism", type=at_least(1), default=20, help="trials of one search at a time")
    add("--seconds", type=at_least(1), default=8, help="mean run time of its trials")
    most = theirs.MOST_SEARCHES
    add("--searches", type=at_least(1), default=20, help=f"at once, at most {most}")
    add("--each", type=at_least(1), default=20, help="trials of each of them at a time")
    add("--many-seconds", type=at_least(1), default=20, help="mean run time of their trials")
    add("--watched", type=at_least(1), default=60, help="seconds to watch them")
    add("--record", type=Path, metavar="FILE", help="keeps what is measured")
    told = ", ".join(f"{name} {value}" for name, value in QUICK.items())
    add("--quick", action="store_true", help=f"see that it works: other defaults, {told}")
    if parser.parse_args(words).quick:
        parser.set_defaults(**QUICK)
    found = parser.parse_args(words)
    if found.searches > most:
        parser.error(f"argument --searches: must be at most {most}, but got {found.searches}")
    return found
