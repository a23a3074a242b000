"""The tests themselves: each is in one tier, says what it needs, and none is lost unseen."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support import parts

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"

TELLING = """
import json

def pytest_collection_finish(session):
    tiers = ("fast", "whole", "neighbours")
    told = [
        [item.nodeid, [m.name for m in item.iter_markers() if m.name in tiers], item.fixturenames]
        for item in session.items
    ]
    with open("told.json", "w") as file:
        json.dump(told, file)
"""

INNER = """
import pytest
from support import parts, programs
from support.programs import Missing

def lacking():
    raise Missing("this machine must have a moon, but has none")

parts.PARTS["moon"] = parts.Part((), check=lacking)

def test_of_nothing_but_python():
    pass

@pytest.mark.needs("moon")
def test_of_the_moon():
    pass

@pytest.mark.needs("postgres")
def test_that_says_what_it_runs():
    programs.locate("postgres")

def test_that_forgot_to_say_it():
    programs.locate("postgres")

@pytest.fixture(scope="module")
def hidden():
    return programs.locate("openssl")

def test_whose_fixture_forgot_to_say_it(hidden):
    pass
"""


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run pytest in a process of its own, with the plugin of the tiers alone."""
    own = {"PYTHONPATH": os.pathsep.join([str(TESTS), str(folder)]), "CI": "", **environment}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        env={**os.environ, **own},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.long
def test_every_test_is_in_exactly_one_tier(tmp_path: Path) -> None:
    (tmp_path / "telling.py").write_text(TELLING)
    collect = (
        "--collect-only",
        "--quiet",
        f"--rootdir={ROOT}",
        f"--config-file={ROOT}/pyproject.toml",
    )
    done = run(tmp_path, *collect, "-p", "telling", str(TESTS))
    assert done.returncode == 0, done.stdout
    told: list[tuple[str, list[str], list[str]]] = json.loads((tmp_path / "told.json").read_text())
    assert [name for name, tiers, _ in told if len(tiers) != 1] == []
    files = {str(path.relative_to(ROOT)) for path in TESTS.rglob("test_*.py")}
    assert {name.partition("::")[0] for name, _, _ in told} == files
    fast = [(name, fixtures) for name, tiers, fixtures in told if tiers == ["fast"]]
    assert len(fast) > len(told) / 2
    assert not [name for name, fixtures in fast if parts.FIXTURES.keys() & set(fixtures)]
    assert not [name for name, _ in fast if "end_to_end" in name]


@pytest.fixture
def inner(tmp_path: Path) -> Path:
    (tmp_path / "test_inner.py").write_text(INNER)
    return tmp_path


def outcome(done: subprocess.CompletedProcess[str]) -> str:
    return done.stdout.rstrip().splitlines()[-1].strip("= ").rpartition(" in ")[0]


@pytest.mark.parametrize("tier", ["fast", "whole"])
def test_a_tier_is_chosen_by_its_marker(inner: Path, tier: str) -> None:
    done = run(inner, "-p", "support.tiers", "--collect-only", "--quiet", "-m", tier)
    chosen = {line.partition("::")[2] for line in done.stdout.splitlines() if "::" in line}
    needing = {"test_of_the_moon", "test_that_says_what_it_runs"}
    assert chosen >= {"test_of_nothing_but_python"} if tier == "fast" else chosen == needing


def test_a_test_gets_only_the_programs_that_it_says_it_needs(inner: Path) -> None:
    done = run(inner, "-p", "support.tiers", "-m", "fast")
    assert outcome(done) == "1 failed, 1 passed, 2 deselected, 1 error"
    assert "but this one asks for postgres" in done.stdout
    assert "but this one asks for openssl" in done.stdout


def test_what_did_not_run_is_told_at_the_end(inner: Path) -> None:
    done = run(inner, "-p", "support.tiers", "-k", "moon or python")
    assert outcome(done) == "1 passed, 1 skipped, 3 deselected"
    assert "1 did not run: this machine must have a moon, but has none" in done.stdout


def test_nothing_is_skipped_in_ci(inner: Path) -> None:
    done = run(inner, "-p", "support.tiers", "-k", "moon or python", CI="true")
    assert outcome(done) == "1 passed, 3 deselected, 1 error"
    assert "this machine must have a moon, but has none" in done.stdout


def test_a_part_that_nobody_knows_is_refused(inner: Path) -> None:
    text = '@__import__("pytest").mark.needs("sun")\ndef test_of_the_sun(): pass\n'
    (inner / "test_sun.py").write_text(text)
    done = run(inner, "-p", "support.tiers")
    assert "test_of_the_sun must need parts of kubectl, control_plane" in done.stderr


@pytest.mark.parametrize("where", ["parts", "bench"])
def test_what_cannot_be_had_is_named_in_one_sentence(tmp_path: Path, where: str) -> None:
    """Without a traceback, on a machine without apt-get."""
    lacking = {"XDG_CACHE_HOME": str(tmp_path), "PATH": str(tmp_path), "KUBEBUILDER_ASSETS": ""}
    programs: dict[str, list[Any]] = {
        "parts": ["-c", "from support import parts; parts.require('prometheus')"],
        "bench": [str(ROOT / "bench" / "faults.py")],
    }
    done = subprocess.run(
        [sys.executable, *programs[where]],
        cwd=TESTS,
        env={**os.environ, **lacking},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("this needs ")
