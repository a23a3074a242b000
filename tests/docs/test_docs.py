"""What the documentation tells a reader to type or to open works: nothing in it is only text.

Commands for a cluster run in test_installation, which has one with everything in it.
"""

import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from ruamel.yaml import YAML

from distillery_operator.resource import yaml_files
from distillery_operator.telemetry.experiment_metrics import FAMILIES
from support import documentation, ports, quick_trainer, worlds
from support.charts import one, render
from support.documentation import ROOT
from support.postgres import Postgres
from support.programs import debian

QUICK = f"{sys.executable} {quick_trainer.__file__}"
IN_A_CLUSTER = ("kubectl", "helm")
IN_A_DATABASE = ("pg_dump", "pg_restore")
PYTEST = ".venv/bin/pytest"
ELSEWHERE = {
    "xdg-open": "a person's browser; the report is opened in Chromium by test_report",
    "docker": "the same Dockerfiles are built by buildah: see test_images",
}
"""Programs that no test can start, and what shows instead that the line is right."""

PACKAGES = sorted(
    path.parent.relative_to(ROOT) for path in ROOT.glob("[ot]*r/src/*/**/__init__.py")
)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, tiny_teacher: Path) -> Path:
    """A workspace with an experiment, and a `distillery` whose trainer is the quick one.

    That trainer leaves no model: a real one lies where the exported one would.
    """
    folder = tmp_path_factory.mktemp("workspace")
    (folder / "train.json").touch()
    name = "my-experiment"
    shutil.copytree(tiny_teacher, folder / "experiments" / name / "trials" / "00003" / "model")
    document = worlds.document(
        parameters=[
            {"name": "n_layers", "type": "Int", "low": 1, "high": 6},
            {"name": "learning_rate", "type": "Float", "low": 1e-4, "high": 0.4, "log": True},
        ],
        checkpointRetention="All",
        maxTrials=4,
    )
    document["metadata"]["name"] = name
    (folder / "experiment.yaml").write_text(yaml_files.dump(document))
    program = folder / "bin" / "distillery"
    program.parent.mkdir()
    command = f'{sys.executable} -m distillery_operator --trainer "{QUICK}"'
    program.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    program.chmod(0o755)
    return folder


@pytest.mark.parametrize("package", PACKAGES, ids=str)
def test_a_package_says_what_is_in_it(package: Path) -> None:
    told = ast.get_docstring(ast.parse((ROOT / package / "__init__.py").read_text())) or ""
    modules = {m.stem for m in (ROOT / package).glob("*.py") if not m.stem.startswith("__")}
    packages = {p.parent.name for p in (ROOT / package).glob("*/__init__.py")}
    assert {name for name in modules | packages if not re.search(rf"\b{name}\b", told)} == set()


def test_every_command_is_one_that_something_runs() -> None:
    known = {"make", "distillery", PYTEST, *IN_A_CLUSTER, *IN_A_DATABASE, *ELSEWHERE}
    assert [str(c) for c in documentation.commands() if c.program not in known] == []


def test_every_target_of_make_exists() -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    used = [c.text.split()[1] for c in documentation.commands() if c.program == "make"]
    assert used
    assert set(used) <= set(targets)


def test_every_room_with_tests_exists() -> None:
    used = [c.text.split()[-1] for c in documentation.commands() if c.program == PYTEST]
    assert used
    assert [room for room in used if not any((ROOT / room).glob("test_*.py"))] == []


def test_every_dockerfile_exists() -> None:
    used = [c.text for c in documentation.commands() if c.program == "docker"]
    for found in re.findall(r"--file (\S+)", "\n".join(used)):
        assert (ROOT / found).is_file()


@pytest.mark.long
def test_commands_for_one_machine_work_in_their_order(workspace: Path) -> None:
    commands = [c for c in documentation.commands() if c.program == "distillery"]
    for command in (c for c in commands if not c.on_a_cluster):
        done = subprocess.run(
            ["bash", "-euc", command.text],
            cwd=workspace,
            env={"PATH": f"{workspace}/bin:/usr/bin:/bin", "QUICK_TRAINER_STEP_SECONDS": "0.001"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def test_a_database_is_made_measured_backed_up_and_restored_as_the_docs_say(
    postgresql: Postgres, tmp_path: Path
) -> None:
    """The user that the page makes is the operator's, and may do no more than the page says."""
    made, measured = documentation.samples("docs/database.md", "sql")
    postgresql.execute(*filter(str.strip, made.split(";")))
    url = f"postgresql://distillery:secret@127.0.0.1:{postgresql.port}/distillery"
    found = ports.work(url, lambda kept: kept.ask(ports.EXPERIMENT.spec, 3, 2.0))
    environment = {"PATH": debian.search_path(), "DISTILLERY_DATABASE_URL": url}
    backup, restore = [c for c in documentation.commands() if c.program in IN_A_DATABASE]
    for command in (backup, restore):
        subprocess.run(["bash", "-euc", command.text], cwd=tmp_path, env=environment, check=True)
        if command is backup:
            ports.work(url, lambda kept: kept.ask(ports.EXPERIMENT.spec, 3, 2.0))
    assert ports.trials(url) == found
    with psycopg.connect(url) as connection:
        ((schema, size),) = connection.execute(measured.encode()).fetchall()
    assert schema == f"exp_{ports.UID.replace('-', '')}"
    assert size.endswith("kB")


def test_the_experiment_in_the_readme_is_accepted(tmp_path: Path) -> None:
    file = tmp_path / "experiment.yaml"
    file.write_text(documentation.yaml("README.md", "DistillationExperiment"))
    experiment = yaml_files.read_experiment(file)
    assert experiment.spec.max_trials == 40


@pytest.mark.parametrize("page", ["docs/experiment.md", "docs/stopping.md"])
def test_every_part_of_an_experiment_in_the_docs_is_accepted(page: str, tmp_path: Path) -> None:
    whole = YAML(typ="safe").load(documentation.yaml("README.md", "DistillationExperiment"))
    parts = [YAML(typ="safe").load(sample)["spec"] for sample in documentation.samples(page)]
    assert parts
    for number, part in enumerate(parts):
        file = tmp_path / f"{number}.yaml"
        file.write_text(yaml_files.dump({**whole, "spec": {**whole["spec"], **part}}))
        found = yaml_files.read_experiment(file).spec.model_dump(by_alias=True, exclude_unset=True)
        assert found.keys() >= part.keys()


@pytest.mark.needs("helm")
@pytest.mark.parametrize("page", ["README.md", "docs/cluster.md"])
def test_the_values_in_the_docs_are_those_of_the_chart(page: str, tmp_path: Path) -> None:
    values = tmp_path / "values.yaml"
    values.write_text(documentation.yaml(page, "imagePullSecrets"))
    deployment = one(render(f"--values={values}"), "Deployment")
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == "registry.example.com/ml/distillery-operator:0.1.0"
    assert "--workspace-claim=distillery" in container["args"]


@pytest.mark.needs("helm")
@pytest.mark.parametrize("page", ["README.md", "docs/cluster.md"])
def test_the_values_in_the_docs_are_those_of_a_private_registry(page: str, tmp_path: Path) -> None:
    """Every pod has what its node needs to pull its image: those of trials by their template."""
    values = tmp_path / "values.yaml"
    values.write_text(documentation.yaml(page, "imagePullSecrets"))
    objects = render(f"--values={values}")
    pods = [o["spec"] for o in objects if o["kind"] == "Pod"]
    pods.append(one(objects, "Deployment")["spec"]["template"]["spec"])
    (template,) = [
        json.loads(word.removeprefix("--template="))
        for word in pods[-1]["containers"][0]["args"]
        if word.startswith("--template=")
    ]
    for pod in (*pods, template["spec"]):
        assert pod["imagePullSecrets"] == [{"name": "registry"}]
    made = {o["kind"]: o["metadata"]["labels"] for o in objects if "monitoring" in o["apiVersion"]}
    assert [labels["release"] for labels in made.values()] == ["prometheus"] * len(made)
    assert len(made) == (3 if page == "docs/cluster.md" else 0)


@pytest.mark.needs("helm")
def test_the_points_of_fronts_can_be_left_out_of_prometheus(tmp_path: Path) -> None:
    values = tmp_path / "values.yaml"
    values.write_text(documentation.yaml("docs/sizing.md", "metricRelabelings"))
    (endpoint,) = one(render(f"--values={values}"), "ServiceMonitor")["spec"]["endpoints"]
    (dropped,) = endpoint["metricRelabelings"]
    assert dropped["action"] == "drop"
    assert dropped["regex"] in {f"distillery_experiment_{f.name}" for f in FAMILIES}


@pytest.mark.parametrize("page", documentation.PAGES, ids=lambda page: page.name)
def test_everything_that_is_linked_exists(page: Path) -> None:
    for link, anchor in re.findall(r"\]\(([^)#:]*)(#[^)]*)?\)", page.read_text(encoding="utf-8")):
        target = page.parent / link if link else page
        assert target.exists(), f"{page.name} links to {link}"
        if anchor:
            assert anchor[1:] in documentation.anchors(target), f"{page.name} links to {anchor}"


def test_what_the_architecture_says_to_open_is_there() -> None:
    """Behind a link stand the names to look for in the file that it leads to."""
    page = ROOT / "docs" / "architecture.md"
    rows = re.findall(r"^\| .+? \| (\[.+?) \|", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows
    for path, names in re.findall(r"\]\((\S+?)\)([^\[]*)", "\n".join(rows)):
        for name in re.findall(r"`(\w+)`", names):
            found = re.search(rf"\b{name}\b", (page.parent / path).read_text(encoding="utf-8"))
            assert found, f"{path} has no {name}"
