"""What GitHub runs: sound workflows, whose steps a person can run as well."""

import re
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from support import programs

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))
BESIDE = ("docker login", "helm registry login", "docker buildx create", "go install", "apt-get")
"""What only a machine of GitHub needs: logins and tools."""


@pytest.mark.needs("actionlint")
def test_actionlint_finds_no_fault() -> None:
    (actionlint,) = programs.locate("actionlint")
    options = ["-shellcheck=", "-pyflakes="]
    done = subprocess.run(
        [actionlint, *options, *WORKFLOWS], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def steps() -> list[dict[str, str]]:
    return [
        step
        for path in WORKFLOWS
        for job in YAML(typ="safe").load(path.read_text())["jobs"].values()
        for step in job["steps"]
    ]


def test_every_step_is_a_target_of_make() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    lines = [line for step in steps() for line in step.get("run", "").splitlines()]
    assert len(lines) > 8
    for line in lines:
        if not any(word in line for word in BESIDE):
            program, *words = line.split()
            assert program == "make"
            assert {word for word in words if "=" not in word} <= targets, line


def test_actions_of_others_are_pinned_by_their_digest() -> None:
    used = [step["uses"] for step in steps() if "uses" in step]
    assert used
    assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", action) for action in used)


def test_new_versions_of_pinned_actions_are_proposed() -> None:
    bot = YAML(typ="safe").load((ROOT / ".github" / "dependabot.yml").read_text())
    assert [update["package-ecosystem"] for update in bot["updates"]] == ["github-actions"]
