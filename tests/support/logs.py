"""Shows what operators said, and what is there, when a test fails. A plugin of pytest."""

from collections.abc import Generator
from typing import Any, Final

import pytest

from support import operators
from support.cluster.errors import Refused
from support.spaces import Space

LINES: Final = 60


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the end of each log that was written to since the test began, and its namespace."""
    report = yield
    if not report.failed:
        return report
    for log in sorted(operators.LOGS):
        if log.exists() and log.stat().st_mtime >= call.start:
            last = log.read_text(errors="replace").splitlines()[-LINES:]
            report.sections.append((f"the end of {log}", "\n".join(last)))
    space = getattr(item, "funcargs", {}).get("space")
    if report.when == "call" and isinstance(space, Space):
        try:
            there = space.kubectl("get", "dexp,jobs,pods", "--output=wide")
        except Refused as refusal:
            there = str(refusal)
        report.sections.append((f"what is in {space.name}", there))
    return report
