"""The images, built from the repository's Dockerfiles: what they hold, and whether they work."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from distillery_contract import metrics, wire
from distillery_contract import request as requests
from support import programs
from support.cluster import images
from support.cluster.images import ROOT, Image

pytestmark = pytest.mark.needs("images")

OURS = {"distillery-contract", "distillery-operator", "distillery-trainer"}
SHIPPED = pytest.mark.parametrize("make", [images.operator, images.trainer])
EVERY = pytest.mark.parametrize("make", [images.operator, images.trainer, images.quick_trainer])

Make = Callable[[], Image]

INSTALLED = """
import importlib.metadata, json, sys
folder = f"/opt/venv/lib/python3.{sys.version_info.minor}/site-packages"
found = importlib.metadata.distributions(path=[folder])
print(json.dumps([[d.name, d.version] for d in found]))
"""


@cache
def config(make: Make) -> dict[str, Any]:
    """Return what an image tells the one who starts it."""
    inspected = json.loads(images.buildah("inspect", "--type", "image", make().name))
    document: dict[str, Any] = inspected["OCIv1"]["config"]
    return document


def run(
    make: Make, *command: str, environment: dict[str, str] | None = None, volume: Path | None = None
) -> str:
    """Run a command in a new container as the image's user; return its output."""
    name = images.buildah("from", "--pull-never", make().name).strip()
    options = [f"--env={key}={value}" for key, value in (environment or {}).items()]
    if volume:
        options.append(f"--volume={volume}:/workspace")
    try:
        return images.buildah("run", "--isolation", "chroot", *options, name, "--", *command)
    finally:
        images.buildah("rm", name)


@cache
def installed(make: Make) -> dict[str, str]:
    """Return the versions in an image's own environment, by normal names."""
    return {
        normal(name): version for name, version in json.loads(run(make, "python", "-c", INSTALLED))
    }


@cache
def listed(make: Make) -> set[tuple[str, str]]:
    """Return names and versions of an image's bill of materials."""
    document = json.loads(run(make, "sh", "-c", "cat /usr/share/sbom/*.cdx.json"))
    assert document["bomFormat"] == "CycloneDX"
    return {(normal(part["name"]), part["version"]) for part in document["components"]}


def pinned(side: str) -> dict[str, set[str]]:
    """Return the versions that the pins of a side allow, by name."""
    found: dict[str, set[str]] = {}
    text = (ROOT / side / "requirements.txt").read_text()
    for name, version in re.findall(r"^([a-z0-9-]+)==(\S+)", text, re.MULTILINE):
        found.setdefault(name, set()).add(version)
    return found


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@EVERY
def test_an_image_runs_as_a_user_by_number_who_is_not_root(make: Make) -> None:
    assert config(make)["User"] == "65532:65532"
    assert run(make, "id", "-u").strip() == "65532"


@EVERY
def test_its_user_may_write_to_nothing_but_temporary_folders_and_the_workspace(make: Make) -> None:
    others = "-path /proc -o -path /sys -o -path /dev"
    search = f"find / '(' {others} ')' -prune -o -not -type l -writable -print 2> /dev/null || :"
    found = run(make, "sh", "-c", search)
    assert set(found.split()) <= {"/tmp", "/var/tmp", "/run/lock", "/workspace"}


@SHIPPED
def test_labels_say_what_it_is(make: Make) -> None:
    labels = config(make)["Labels"]
    prefix = "org.opencontainers.image."
    said = {key.removeprefix(prefix) for key, value in labels.items() if value}
    assert {"title", "description", "licenses", "version", "base.name"} <= said
    assert {f"{prefix}source", f"{prefix}revision"} <= labels.keys()
    assert labels[f"{prefix}licenses"] == "Apache-2.0"
    assert labels[f"{prefix}version"] == installed(make)[labels[f"{prefix}title"]]


@SHIPPED
def test_nothing_of_the_building_machine_is_left(make: Make) -> None:
    names = {variable.partition("=")[0] for variable in config(make)["Env"]}
    ours = {"PATH", "HOME", "HF_HOME", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"}
    ours.add("OMP_NUM_THREADS")  # of the operator, whose sampler GP would take every core
    assert names <= ours
    listing = run(
        make, "sh", "-c", "ls -d /etc/pip.conf /etc/uv/uv.toml /root/* /build /tmp/* || :"
    )
    assert listing == ""
    bundles = [run(image, "sha256sum", images.BUNDLE) for image in (make, images.base)]
    assert bundles[0] == bundles[1]


def test_a_password_of_the_package_index_serves_the_build_and_stays_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://user:open-sesame@index.example/simple")
    (tmp_path / "Dockerfile").write_text(
        f"FROM {images.base().name}\n"
        "RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf"
        " --mount=type=secret,id=uv.toml,target=/etc/uv/uv.toml"
        " grep open.sesame /etc/pip.conf && grep open.sesame /etc/uv/uv.toml\n"
    )
    tag, archive = f"localhost/{tmp_path.name}", tmp_path / "archive.tar"
    with images.index_settings() as settings:
        images.buildah("bud", "--isolation", "chroot", *settings, "--tag", tag, tmp_path)
    try:
        images.buildah("push", "--quiet", tag, f"docker-archive:{archive}")
    finally:
        images.buildah("rmi", tag)
    assert b"PIP_" not in archive.read_bytes()
    assert b"open-sesame" not in archive.read_bytes()


def test_the_operators_image_holds_what_is_pinned_and_nothing_else() -> None:
    found, pins = installed(images.operator), pinned("operator")
    assert found.keys() - pins.keys() == {"distillery-contract", "distillery-operator"}
    assert all(found[name] in pins[name] for name in found.keys() - OURS)
    assert {"kopf", "kubernetes", "optuna", "optuna-dashboard", "psycopg"} <= found.keys()


def test_the_trainers_image_holds_what_is_pinned_but_its_torch() -> None:
    found, pins = installed(images.trainer), pinned("trainer")
    assert found.keys() - pins.keys() == {"distillery-contract", "distillery-trainer"}
    assert all(found[name] in pins[name] for name in found.keys() - OURS)
    assert {"transformers", "datasets", "numpy"} <= found.keys()
    assert not [name for name in found if re.match("torch|triton|nvidia|cuda", name)]


@SHIPPED
def test_the_bill_of_materials_lists_what_is_installed(make: Make) -> None:
    title = config(make)["Labels"]["org.opencontainers.image.title"]
    assert listed(make) >= {part for part in installed(make).items() if part[0] != title}


def test_the_trainers_bill_of_materials_names_the_torch_that_it_runs() -> None:
    version = run(images.trainer, "python", "-c", "import torch; print(torch.__version__)").strip()
    assert ("torch", version) in listed(images.trainer)


def test_the_operator_is_small_and_comes_without_torch() -> None:
    assert images.operator().size < 550e6
    assert (
        run(images.operator, "sh", "-c", "! python -c 'import torch' 2>&1")
        .strip()
        .endswith("No module named 'torch'")
    )


def test_the_operator_starts() -> None:
    entry = [*config(images.operator)["Entrypoint"], *config(images.operator)["Cmd"]]
    assert entry == ["distillery", "operator"]
    assert "Usage: distillery operator" in run(images.operator, *entry, "--help")


def test_a_bad_request_ends_the_trainer_with_its_code_and_a_final_exposition() -> None:
    entry = " ".join(config(images.trainer)["Entrypoint"])
    said = run(
        *(images.trainer, "sh", "-c", f"{entry} 2>&1; echo code=$?; cat /tmp/final"),
        environment={wire.REQUEST: "{}", wire.TERMINATION_MESSAGE: "/tmp/final"},
    )
    assert f"code={int(wire.Exit.BAD_REQUEST)}" in said
    assert said.endswith("# EOF\n")


def test_the_trainers_image_trains_a_model(
    tmp_path: Path,
    tiny_squad_files: tuple[Path, Path],
    tiny_teacher: Path,
    tiny_distilbert: Path,
) -> None:
    for path in (*tiny_squad_files, tiny_teacher, tiny_distilbert):
        (shutil.copytree if path.is_dir() else shutil.copy)(path, tmp_path / path.name)
    # What pytest and safetensors write is for their own user alone.
    for path in (tmp_path, *tmp_path.rglob("*")):
        path.chmod(0o777)
    training, validation = (path.name for path in tiny_squad_files)
    request = requests.Request(
        "test",
        requests.Stage.PREPARE,
        requests.Data(None, training, validation, max_length=96, stride=16, max_query_length=24),
        requests.Teacher(tiny_teacher.name),
        requests.Student(tiny_distilbert.name),
        cache="cache",
        output="trial",
        parameters={"epochs": 1.0, "n_layers": 2},
    )
    for stage in (requests.Stage.PREPARE, requests.Stage.TRAIN):
        run(
            *(images.trainer, *config(images.trainer)["Entrypoint"]),
            volume=tmp_path,
            environment={
                wire.REQUEST: replace(request, stage=stage).to_json(),
                wire.METRICS_PORT: "0",
                wire.TERMINATION_MESSAGE: "/workspace/final",
            },
        )
    assert f"{metrics.FINAL.name} 1.0" in (tmp_path / "final").read_text()
    assert (tmp_path / "trial/model/model.safetensors").exists()


def test_every_build_takes_the_same_uv() -> None:
    makefile = re.findall(r"^UV_VERSION := (\S+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    builds = ("trainer/contract/image-requirements.txt", "tests/support/cluster/quick.Dockerfile")
    for path in builds:
        assert re.findall(r"uv==(\S+)", (ROOT / path).read_text()) == makefile


@pytest.mark.parametrize("platform", ["x86_64", "aarch64"])
@pytest.mark.parametrize("side", ["operator", "trainer"])
def test_every_pin_has_a_wheel_for_each_platform_of_a_release(
    side: str, platform: str, tmp_path: Path
) -> None:
    (uv,) = programs.cache.folder().glob("uv-*/bin/uv")
    done = subprocess.run(
        [uv, "pip", "install", "--dry-run", "--require-hashes", "--only-binary=:all:",
         f"--python-platform={platform}-manylinux_2_40", "--python-version=3.13",
         f"--target={tmp_path}", f"--requirements={ROOT / side / 'requirements.txt'}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_what_is_there_is_not_built_again(monkeypatch: pytest.MonkeyPatch) -> None:
    known = [images.base(), images.trainer()]
    images.image.cache_clear()
    monkeypatch.setattr(subprocess, "run", forbidden)
    assert [images.base(), images.trainer()] == known


def forbidden(command: Any, **_: Any) -> None:
    raise AssertionError(f"nothing is to be run, but: {command}")
