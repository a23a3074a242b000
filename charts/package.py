"""Package the chart: ``python charts/package.py FOLDER [--source ADDRESS]``, as `make chart` does.

A release knows what the sources do not: where its images are, by digest, and the address of its
repository. The packaged chart has both, so that it installs these very images, and its alerts lead
to the runbooks of this release, without a value being set.
"""

import argparse
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

CHART = Path(__file__).parent / "distillery"
IMAGES = ("operator", "trainer")


def main() -> None:
    """Package the chart into a folder that may have ``operator.ref`` and ``trainer.ref``."""
    parser = argparse.ArgumentParser(description="Package the chart.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--source", default="", help="address of the repository")
    given = parser.parse_args()
    references = [given.folder / f"{name}.ref" for name in IMAGES]
    with tempfile.TemporaryDirectory() as place:
        copy = Path(shutil.copytree(CHART, Path(place) / "distillery"))
        if all(path.exists() for path in references):
            name_images(copy, *(path.read_text(encoding="utf-8").strip() for path in references))
        if given.source:
            name_source(copy, given.source)
        subprocess.run(["helm", "package", copy, "--destination", given.folder], check=True)


def name_images(chart: Path, operator: str, trainer: str) -> None:
    """Let a chart's values and its list of images name these two, such as ``host/name@digest``."""
    yaml, values = _read(chart / "values.yaml")
    values["image"].update(_parts(operator))
    values["trials"]["image"].update(_parts(trainer))
    yaml.dump(values, chart / "values.yaml")
    path = chart / "Chart.yaml"
    text = path.read_text(encoding="utf-8")
    for name, reference in zip(IMAGES, (operator, trainer), strict=True):
        text = re.sub(rf"image: distillery-{name}:\S+", f"image: {reference}", text)
    path.write_text(text, encoding="utf-8")


def name_source(chart: Path, source: str) -> None:
    """Let a chart lead to its repository, and its alerts to their runbooks, at the chart's tag."""
    yaml, about = _read(chart / "Chart.yaml")
    files, raw = (f"{source}/{kind}/v{about['version']}" for kind in ("blob", "raw"))
    about.update(
        home=source,
        sources=[source],
        icon=f"{raw}/charts/icon.svg",
        maintainers=[{"name": source.rstrip("/").rsplit("/", 2)[-2], "url": source}],
    )
    links = {"Changes": "CHANGELOG.md", "Upgrades": "docs/upgrade.md", "Security": "SECURITY.md"}
    about["annotations"]["artifacthub.io/links"] = "".join(
        f"- name: {name}\n  url: {files}/{path}\n" for name, path in links.items()
    )
    yaml.dump(about, chart / "Chart.yaml")
    yaml, values = _read(chart / "values.yaml")
    values["metrics"]["prometheusRule"]["runbooks"] = f"{files}/docs/runbooks.md"
    yaml.dump(values, chart / "values.yaml")


def _read(path: Path) -> tuple[YAML, Any]:
    """Return a file's content, and what writes it again with its comments and quotes."""
    yaml = YAML()
    yaml.width = 1000
    yaml.preserve_quotes = True
    return yaml, yaml.load(path)


def _parts(reference: str) -> dict[str, Any]:
    name, _, digest = reference.partition("@")
    registry, _, repository = name.rpartition("/")
    return {"registry": registry, "repository": repository, "digest": digest}


if __name__ == "__main__":
    main()
