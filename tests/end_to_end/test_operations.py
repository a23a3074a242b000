"""docs/operations.md from top to bottom, on a real node, while a search runs."""

import copy
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from distillery_operator.cluster import documents
from distillery_operator.resource import label_names
from support import charts, documentation, spaces, stack, worlds
from support.cluster import Node, images
from support.documentation import ROOT
from support.operators import until

pytestmark = pytest.mark.needs("helm", "images", "node")

PAGE = "docs/operations.md"
ENDED, RUNNING = "ended", "running"
LATER = "0.1.99"

Object = dict[str, Any]


@dataclass(frozen=True)
class Reader:
    """Somebody who takes the page's commands, in a folder with a checkout's charts."""

    node: Node
    folder: Path

    def take(self, chapter: str, *, alternative: slice = slice(None)) -> str:
        """Run the commands of a chapter; return what they print."""
        said = ""
        for command in documentation.chapters(PAGE)[chapter][alternative]:
            kubeconfig = self.node.plane.kubeconfig
            done = documentation.shell(command.text, self.folder, kubeconfig, timeout=1200)
            assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
            said += done.stdout
        return said

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return self.node.plane.kubectl(f"--namespace={stack.TEAM}", *arguments, stdin=stdin)

    def apply(self, name: str, pace_seconds: float, **spec: Any) -> None:
        """Apply an experiment of quick trials."""
        pace = {"name": "QUICK_TRAINER_STEP_SECONDS", "value": str(pace_seconds)}
        trainer = {"name": documents.TRAINER, "image": images.quick_trainer().name, "env": [pace]}
        document = copy.deepcopy(worlds.document(**spec))
        document["metadata"]["name"] = name
        document["spec"]["template"] = {"spec": {"containers": [trainer]}}
        self.kubectl("apply", "--filename=-", stdin=json.dumps(document))

    def get(self, name: str) -> Object:
        found: Object = json.loads(self.kubectl("get", "dexp", name, "--output=json"))
        return found

    def completed(self) -> int:
        """Return how many trials of the running search have ended well."""
        count: int = self.get(RUNNING).get("status", {}).get("trials", {}).get("completed", 0)
        return count

    def goes_on(self) -> None:
        """Wait until a further trial has ended well."""
        before = self.completed()
        until(lambda: self.completed() > before, 120)


@pytest.fixture
def reader(node: Node, tmp_path: Path) -> Iterator[Reader]:
    for image in [*stack.parts(), images.quick_trainer()]:
        node.load(image.archive)
    spaces.uninstall(node.plane)  # another module's
    workspace = tmp_path / "volumes" / "workspace"
    stack.install(node.plane, tmp_path / "volumes")
    for split in ("train", "validation"):
        (workspace / f"{split}.json").touch()  # the quick trainer looks whether they are there
    stack.hand_over(workspace)
    for name in ("charts", "manifests"):
        shutil.copytree(ROOT / name, tmp_path / name)
    (tmp_path / "values.yaml").write_text(json.dumps(stack.settings()))
    yield Reader(node, tmp_path)
    node.plane.kubectl("delete", "crd", "distillationexperiments.distillery.dev",
                       "--ignore-not-found", "--timeout=60s")  # fmt: skip
    stack.uninstall(node.plane)


def test_the_page_leads_an_installation_from_its_backup_to_its_end(reader: Reader) -> None:
    chapters = documentation.chapters(PAGE)
    assert list(chapters) == ["Look", "Back up", "Upgrade", "Roll back", "Restore", "Remove"]
    reader.apply(ENDED, 0, maxTrials=3)
    reader.apply(RUNNING, 0.3, maxTrials=200)
    until(lambda: reader.get(ENDED).get("status", {}).get("completionTime"), 300)
    assert reader.get(ENDED)["status"]["front"]
    until(lambda: reader.completed() >= 2)
    assert RUNNING in reader.take("Look")
    ended, stored = reader.get(ENDED)["status"], reader.completed()
    reader.take("Back up")

    later(reader.folder / "charts" / "distillery")
    assert LATER in reader.take("Upgrade") + reader.take("Look")
    reader.goes_on()
    assert LATER in reader.take("Roll back")
    assert LATER not in reader.take("Look")
    reader.goes_on()

    lost = reader.completed()
    reader.kubectl("delete", "dexp", ENDED)
    reader.take("Restore")
    until(lambda: reader.get(ENDED).get("status", {}).get("completionTime"), 300)
    assert reader.get(ENDED)["status"]["front"] == ended["front"]
    trained = f"--selector={label_names.EXPERIMENT}={ENDED},{label_names.STAGE}=train"
    assert not reader.kubectl("get", "jobs", trained, "--output=name")
    until(lambda: "Restored" in conditions(reader.get(RUNNING)))
    until(lambda: stored <= reader.completed() < lost + 200)
    reader.goes_on()

    reader.take("Remove", alternative=slice(1))
    assert reader.get(ENDED)["status"]["front"] == ended["front"]
    charts.install(
        reader.node.plane.kubeconfig, f"--values={reader.folder / 'values.yaml'}", "--wait"
    )
    reader.goes_on()
    reader.take("Remove", alternative=slice(1, None))
    left = reader.kubectl("get", "jobs,pods", "--output=name")
    assert not left


def later(chart: Path) -> None:
    """Make a chart one of a later release."""
    path = chart / "Chart.yaml"
    version = YAML(typ="safe").load(path.read_text())["version"]
    path.write_text(path.read_text().replace(f"\nversion: {version}", f"\nversion: {LATER}"))


def conditions(experiment: Object) -> set[str]:
    """Return the types of an experiment's conditions that are True."""
    found = experiment.get("status", {}).get("conditions", [])
    return {condition["type"] for condition in found if condition["status"] == "True"}
