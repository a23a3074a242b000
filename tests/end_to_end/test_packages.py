"""The packages as a person installs them, without a checkout: built, installed, used."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
PROJECTS = {
    name: tomllib.loads((ROOT / folder / "pyproject.toml").read_text())["project"]
    for name, folder in (
        ("distillery-contract", "trainer/contract"),
        ("distillery-trainer", "trainer"),
        ("distillery-operator", "operator"),
    )
}


def test_the_packages_of_a_release_ask_for_each_other() -> None:
    versions = {project["version"] for project in PROJECTS.values()}
    assert len(versions) == 1
    asked = [
        requirement
        for project in PROJECTS.values()
        for requirement in (
            *project["dependencies"],
            *(r for extra in project.get("optional-dependencies", {}).values() for r in extra),
        )
        if requirement.startswith("distillery-")
    ]
    assert len(asked) == 3
    assert {requirement.partition("==")[2] for requirement in asked} == versions


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    for project in ("trainer/contract", "trainer", "operator"):
        run("uv", "build", "--quiet", "--wheel", f"--out-dir={folder}", str(ROOT / project))
    return folder


@pytest.fixture(scope="module")
def installed(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the programs of an environment with nothing but the packages."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    run("uv", "venv", "--quiet", f"--python={sys.executable}", str(folder))
    run(
        *("uv", "pip", "install", "--quiet", f"--python={folder}/bin/python"),
        *(f"--find-links={wheels}", f"--constraints={ROOT}/tests/requirements.txt"),
        "distillery-operator[local,report]",
    )
    return folder / "bin"


def run(program: str, *arguments: str) -> str:
    """Run a program; `uv` is the one that `make setup` has brought."""
    if program == "uv":
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "distillery"
        version = re.search(r"^UV_VERSION := (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert version
        program = str(cache / f"uv-{version[1]}" / "bin" / "uv")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.long
def test_a_wheel_has_what_its_code_reads(wheels: Path) -> None:
    (wheel,) = wheels.glob("distillery_operator-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    source = ROOT / "operator" / "src"
    files = {str(p.relative_to(source)) for p in source.rglob("*") if p.is_file()}
    assert {name for name in files if "__pycache__" not in name} <= names


@pytest.mark.long
def test_a_search_runs_without_a_checkout(installed: Path, tmp_path: Path) -> None:
    chart = (ROOT / "charts/distillery/templates/tests/try.yaml").read_text()
    text = chart.partition("  experiment.yaml: |\n")[2].partition("      template:\n")[0]
    experiment = YAML(typ="safe").load(text)
    assert experiment["spec"]["maxTrials"] == 2
    text = re.sub("^    ", "", text, flags=re.MULTILINE).replace("/tmp/try", f"{tmp_path}/try")
    (tmp_path / "experiment.yaml").write_text(text)
    own = {"PATH": f"{installed}:/usr/bin:/bin", "HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    for command in (
        [installed / "python", "-m", "distillery_trainer.tiny", "try"],
        ["distillery", "run", "experiment.yaml"],
        ["distillery", "status"],
        ["distillery", "report"],
    ):
        done = subprocess.run(
            ["env", "--ignore-environment", *(f"{k}={v}" for k, v in own.items()), *command],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    (report,) = tmp_path.glob("experiments/try/report.html")
    assert "plotly" in report.read_text(encoding="utf-8").lower()
    where = run(
        str(installed / "python"), "-c", "import distillery_operator as d; print(d.__file__)"
    )
    assert str(ROOT) not in where
