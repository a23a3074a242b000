"""A release as its workflow makes it, with a registry and an index of packages on this machine.

`make release-dry-run` runs this module. Docker builds the images of a real release; here buildah
has built them from the same Dockerfiles, for this machine's platform. Under the other platform
stands the same image once more: what is tried is each step with an index of platforms, and that a
node finds its own. A throw-away key stands for the workflow's identity.
"""

import base64
import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from support import charts, programs, stack
from support.charts import NAMESPACE, RELEASE
from support.cluster import Node, access, images, processes
from support.operators import answers, free_port, until

pytestmark = pytest.mark.needs("release", "helm", "images", "node")

ROOT = Path(__file__).parents[2]
WORKFLOW = ROOT / ".github" / "workflows" / "release.yaml"
TOOLS = ("crane", "cosign", "syft", "helm")
VERSION = YAML(typ="safe").load((charts.CHART / "Chart.yaml").read_text())["version"]
PLATFORMS = ("amd64", "arm64")
BUILT = {"operator": images.operator, "trainer": images.trainer}


@dataclass(frozen=True)
class Published:
    """Where a release is found, and what its steps left behind."""

    folder: Path
    port: int  # of the registry
    index: str

    @property
    def registry(self) -> str:
        """The registry's name, for which every tool takes plain HTTP."""
        return f"localhost:{self.port}"

    def reference(self, name: str) -> str:
        """Return the name by digest of an image, or of the chart."""
        return (self.folder / "dist" / f"{name}.ref").read_text().strip()

    def run(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command with the tools of a release on its path."""
        own = {
            "PATH": f"{self.folder / 'tools'}:{os.environ['PATH']}",
            "HOME": str(self.folder),  # a user's own logins have no say here
            "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache")),
            "COSIGN_PASSWORD": "",
            "SYFT_CHECK_FOR_APP_UPDATE": "false",
        }
        return subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, **own, **variables},
            capture_output=True,
            text=True,
            check=False,
        )

    def make(self, target: str) -> None:
        """Take one step of the release."""
        key = self.folder / "cosign"
        done = self.run(
            *("make", target, f"DIST={self.folder / 'dist'}", f"REGISTRY={self.registry}/ml"),
            "PLAIN_HTTP=--plain-http",
            "SOURCE=https://example.com/acme/distillery",
            f"SIGNER=--key={key}.key --signing-config={self.folder / 'signing.json'}",
            f"SIGNED_BY=--key={key}.pub --insecure-ignore-tlog",
            UV_PUBLISH_URL=f"{self.index}/",
            UV_PUBLISH_USERNAME="nobody",
            UV_PUBLISH_PASSWORD="none",
        )
        assert done.returncode == 0, f"make {target}\n{done.stdout[-2000:]}{done.stderr[-4000:]}"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    """A release: each step of the workflow's job, in order."""
    folder = tmp_path_factory.mktemp("release")
    for name in ("tools", "dist", "blobs", "index"):
        (folder / name).mkdir()
    for name, path in zip(TOOLS, programs.locate(*TOOLS), strict=True):
        (folder / "tools" / name).symlink_to(path)
    with contextlib.ExitStack() as running:
        release = Published(folder, free_port(), f"http://127.0.0.1:{free_port()}")
        serve(release, running)
        sign_with_a_key(release)
        for name, build in BUILT.items():
            join_platforms(release, name, build().archive)
        for target in steps():
            if target != "images":
                release.make(target)
        yield release


def serve(release: Published, running: contextlib.ExitStack) -> None:
    """Start the registry, on all addresses of this machine, and the index."""
    crane, index = programs.locate("crane", "pypi-server")
    folder, port = release.folder, release.index.rpartition(":")[2]
    blobs = f"--disk={folder / 'blobs'}"
    for name, *command in (
        ("registry", crane, "registry", "serve", f"--address=:{release.port}", blobs),
        ("packages", index, "run", "--interface=127.0.0.1", f"--port={port}", "--authenticate=.",
         "--passwords=.", str(folder / "index")),
    ):  # fmt: skip
        process = processes.start(command, folder / f"{name}.log")
        running.callback(processes.stop, process)
    until(lambda: answers(release.port) and answers(int(port)))


def join_platforms(release: Published, name: str, archive: Path) -> None:
    """Write the index of an image's platforms into dist/, as Docker's builder does."""
    built, *others = [f"{release.registry}/built/{name}-{each}" for each in (*PLATFORMS, "index")]
    other, index = others
    for command in (
        ("push", str(archive), built),
        ("mutate", "--set-platform=linux/arm64", f"--tag={other}", built),
        ("index", "append", f"--manifest={built}", f"--manifest={other}", f"--tag={index}"),
        ("pull", "--format=oci", index, str(release.folder / "dist" / name)),
    ):
        done = release.run("crane", *command)
        assert done.returncode == 0, done.stderr


def sign_with_a_key(release: Published) -> None:
    """Make a key, and the settings by which cosign tells nobody else what it signs."""
    for command in (
        ("cosign", "generate-key-pair", f"--output-key-prefix={release.folder / 'cosign'}"),
        ("cosign", "generate-key-pair", f"--output-key-prefix={release.folder / 'another'}"),
        ("cosign", "signing-config", "create", f"--out={release.folder / 'signing.json'}"),
    ):
        done = release.run(*command)
        assert done.returncode == 0, done.stderr


def steps() -> list[str]:
    """Return the targets of make that the workflow publishes by, in order."""
    job = YAML(typ="safe").load(WORKFLOW.read_text())["jobs"]["publish"]
    found = [re.fullmatch(r"make ([a-z-]+)", step.get("run", "")) for step in job["steps"]]
    return [match[1] for match in found if match]


def test_every_target_of_the_workflow_was_run(published: Published) -> None:
    assert steps()[-1] == "publish"
    assert {"push", "push-chart", "sbom", "sign", "verify"} <= set(steps())
    for name in ("operator", "trainer", "chart"):
        assert re.fullmatch(rf"{published.registry}/ml/\S+@sha256:\w+", published.reference(name))


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("name", BUILT)
def test_the_list_of_an_image_has_all_that_is_in_it(
    published: Published, name: str, platform: str
) -> None:
    path = published.folder / "dist" / f"{name}-{platform}.spdx.json"
    document = json.loads(path.read_text())
    found = {
        (reference["referenceLocator"].partition("/")[0], package["name"])
        for package in document["packages"]
        for reference in package.get("externalRefs", [])
        if reference["referenceType"] == "purl"
    }
    python = {"operator": ("distillery-operator", "optuna"), "trainer": ("transformers", "torch")}
    assert {("pkg:deb", "libc6"), ("pkg:deb", "ca-certificates")} <= found
    assert {("pkg:pypi", package) for package in python[name]} <= found


def test_the_checks_of_the_security_policy_pass(published: Published, tmp_path: Path) -> None:
    """With the registry and the key in place of those of a published release."""
    (block,) = re.findall(r"```sh\n(.*?)```", (ROOT / "SECURITY.md").read_text(), re.DOTALL)
    registry, signer, *checks = block.splitlines()
    assert (registry.partition("=")[0], signer.partition("=")[0]) == ("REGISTRY", "SIGNED_BY")
    assert [line.split()[0] for line in checks] == ["cosign", "cosign", "cosign", "helm"]
    done = published.run(
        *("sh", "-euc", f"cd {tmp_path}; {'; '.join(checks)} --plain-http"),
        REGISTRY=f"{published.registry}/ml",
        SIGNED_BY=f"--key={published.folder / 'cosign'}.pub --insecure-ignore-tlog",
    )
    assert done.returncode == 0, done.stderr
    assert published.reference("operator").partition("@")[2] in done.stdout
    lists = [json.loads(line) for line in (tmp_path / "list.json").read_text().splitlines()]
    assert len(lists) == len(PLATFORMS)
    for envelope in lists:
        statement = json.loads(base64.b64decode(envelope["payload"]))
        assert statement["predicate"]["spdxVersion"].startswith("SPDX-")


def test_what_another_key_has_signed_is_refused(published: Published) -> None:
    with_another = f"--key={published.folder / 'another'}.pub", "--insecure-ignore-tlog"
    for name in ("operator", "chart"):
        done = published.run("cosign", "verify", *with_another, published.reference(name))
        assert done.returncode != 0


def test_what_was_put_in_an_images_place_is_refused(published: Published) -> None:
    key = f"--key={published.folder / 'cosign'}.pub"
    place = f"{published.registry}/ml/distillery-operator:{VERSION}"
    changed = published.run("crane", "mutate", "--label=changed=yes", f"--tag={place}-new", place)
    assert changed.returncode == 0, changed.stderr
    for reference, signed in ((place, True), (f"{place}-new", False)):
        done = published.run("cosign", "verify", key, "--insecure-ignore-tlog", reference)
        assert (done.returncode == 0) is signed, done.stderr


def test_packages_install_from_the_index(published: Published, tmp_path: Path) -> None:
    uv = next(Path(programs.cache.folder()).glob("uv-*/bin/uv"))
    python = tmp_path / "venv" / "bin" / "python"
    pins = f"--constraints={ROOT / 'tests' / 'requirements.txt'}"
    for command in (
        ("venv", "--quiet", f"--python={sys.executable}", str(tmp_path / "venv")),
        ("pip", "install", "--quiet", f"--python={python}", f"--index={published.index}/simple/",
         pins, f"distillery-operator=={VERSION}"),
    ):  # fmt: skip
        done = published.run(str(uv), *command)
        assert done.returncode == 0, done.stderr
    told = published.run(str(python.with_name("distillery")), "--version")
    assert VERSION in told.stdout


@pytest.fixture
def emptied(node: Node) -> Iterator[None]:
    """Leave nothing of a release on the node: its operator would take others' experiments."""
    yield
    stack.uninstall(node.plane)


@pytest.mark.usefixtures("emptied")
def test_the_chart_of_the_registry_installs_the_images_of_the_registry(
    published: Published, node: Node, tmp_path: Path
) -> None:
    node.trust(published.registry, published.port)
    node.load(images.postgres().archive)
    for name in (NAMESPACE, stack.TEAM):
        labelled = {"name": name, "labels": stack.RESTRICTED}
        stack.apply(node.plane, {"apiVersion": "v1", "kind": "Namespace", "metadata": labelled})
    for document in stack.volumes(tmp_path):
        stack.apply(node.plane, document)
    stack.hand_over(tmp_path / "workspace")
    charts.install(
        node.plane.kubeconfig,
        *(f"--version={VERSION}", "--plain-http", "--wait", "--timeout=300s"),
        f"--set-json={settings()}",
        chart=f"oci://{published.registry}/ml/charts/distillery",
    )
    access.helm(node.plane.kubeconfig, "test", RELEASE, f"--namespace={NAMESPACE}",
                "--timeout=600s")  # fmt: skip
    assert running(node) == {"operator": published.reference("operator"),
                             "trainer": published.reference("trainer")}  # fmt: skip


def settings() -> str:
    """Return the values that this node needs; none names an image of a release."""
    of_stack = stack.settings()
    trials = {key: of_stack["trials"][key] for key in ("namespaces", "workspace")}
    values: dict[str, Any] = {"database": of_stack["database"], "trials": trials}
    return ",".join(f"{key}={json.dumps(value)}" for key, value in values.items())


def running(node: Node) -> dict[str, str]:
    """Return the images of the release that the operator's Deployment names."""
    asked = ("get", "deployment", RELEASE, f"--namespace={NAMESPACE}", "--output=json")
    pod = json.loads(node.plane.kubectl(*asked))["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    trainer = next(word for word in container["args"] if "distillery-trainer" in word)
    return {"operator": container["image"], "trainer": trainer.partition("=")[2]}
