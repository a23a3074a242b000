"""Which tests are fast, what the others need, and what did not run. A plugin of pytest.

Every test is in one of three tiers: ``-m fast`` (`make test-fast`), ``-m whole``, and what lies in
tests/neighbours: other projects' programs that take long to build, and faults of a node that take
minutes to show (`make test-neighbours`). Any other test is whole

* if it needs a part (see `parts`): ``@pytest.mark.needs("postgres")``, or a fixture that brings it;
* if it lies in end_to_end;
* if it says that it takes long: ``@pytest.mark.long``.

A test whose part this machine cannot have is skipped; with ``CI=true`` it fails. A test gets the
programs of its own parts and no others: what it forgot to say that it needs fails everywhere.
"""

from collections import Counter
from collections.abc import Generator, Iterator
from typing import Final

import pytest

from support import parts, programs
from support.programs import Missing

FAST: Final = "fast: needs nothing but Python, and takes seconds at most"
WHOLE: Final = "whole: every other test of ours"
NEIGHBOURS: Final = "neighbours: beside other projects' programs, which `make test` does without"
NEEDS: Final = "needs(*parts): parts of tests/support/parts.py, which bring their programs"
LONG: Final = "long: takes long: trains, runs processes by the dozen"

SLOWEST: Final = ("node", "control_plane")
"""Fixtures whose tests take longest, the longest first."""


def pytest_configure(config: pytest.Config) -> None:
    """Make the markers known."""
    for marker in (FAST, WHOLE, NEIGHBOURS, NEEDS, LONG):
        config.addinivalue_line("markers", marker)


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put each test in its tier; for several processes, begin with what takes longest."""
    for item in items:
        item.add_marker(tier(item))
    if hasattr(config, "workerinput"):  # one of several processes, each of which runs whole files
        ranks = {item.path: len(SLOWEST) + 1 for item in items}
        for item in items:
            ranks[item.path] = min(ranks[item.path], rank(item))
        items.sort(key=lambda item: ranks[item.path])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None]:
    """Bring what a test needs, or skip it; lend it those programs alone."""
    with programs.limited(parts.allowed(needs(item))):
        try:
            parts.provide(*needs(item))
        except Missing as error:
            if parts.in_ci():
                raise
            pytest.skip(str(error))
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Lend a test the programs of its parts alone."""
    with programs.limited(parts.allowed(needs(item))):
        return (yield)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what did not run, and why."""
    reasons = Counter(map(reason, terminalreporter.stats.get("skipped", [])))
    for why, count in reasons.most_common():
        terminalreporter.write_line(f"{count} did not run: {why}", yellow=True)


def reason(report: pytest.TestReport) -> str:
    """Return why a test was skipped."""
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")
    return str(report.longrepr)


def needs(item: pytest.Item) -> list[str]:
    """Return the parts that a test needs."""
    marked = {name for mark in item.iter_markers("needs") for name in mark.args}
    if unknown := marked - parts.PARTS.keys():
        known = ", ".join(parts.PARTS)
        raise pytest.UsageError(f"{item.nodeid} must need parts of {known}, but: {unknown}")
    brought = {parts.FIXTURES[name] for name in fixtures(item) if name in parts.FIXTURES}
    return sorted(marked | brought)


def tier(item: pytest.Item) -> str:
    """Return the name of a test's tier."""
    if "neighbours" in item.path.parts:
        return "neighbours"
    return "fast" if is_fast(item) else "whole"


def is_fast(item: pytest.Item) -> bool:
    """Tell whether a test belongs to the fast tier."""
    slow_folder = "end_to_end" in item.path.parts
    return not (needs(item) or slow_folder or item.get_closest_marker("long"))


def rank(item: pytest.Item) -> int:
    """Return when a test's turn is, from 0 on."""
    slowest = [name in fixtures(item) for name in SLOWEST]
    return slowest.index(True) if True in slowest else len(SLOWEST) + is_fast(item)


def fixtures(item: pytest.Item) -> Iterator[str]:
    """Yield the fixtures that a test asks for, directly or not."""
    yield from getattr(item, "fixturenames", ())
