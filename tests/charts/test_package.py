"""What a release writes into the chart that it packages."""

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from support.charts import CHART

ROOT = CHART.parents[1]
sys.path.append(str(CHART.parent))

import package  # noqa: E402  in charts/, which is no package

SOURCE = "https://code.example/team/distillery"


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    return Path(shutil.copytree(CHART, tmp_path / "distillery"))


def read(path: Path) -> Any:
    return YAML(typ="safe").load(path.read_text())


def test_a_released_chart_names_its_images_and_changes_nothing_else(chart: Path) -> None:
    digests = [f"sha256:{letter * 64}" for letter in "ab"]
    references = [
        f"host:5000/ml/distillery-{name}@{digest}"
        for name, digest in zip(package.IMAGES, digests, strict=True)
    ]
    package.name_images(chart, *references)
    before, after = (read(folder / "values.yaml") for folder in (CHART, chart))
    for image, digest in ((after["image"], digests[0]), (after["trials"]["image"], digests[1])):
        assert (image["registry"], image["digest"]) == ("host:5000/ml", digest)
        image |= {"registry": "", "digest": ""}
    assert after == before
    comments = [
        line for line in (CHART / "values.yaml").read_text().splitlines() if "# -- " in line
    ]
    assert [x for x in (chart / "values.yaml").read_text().splitlines() if "# -- " in x] == comments
    told = YAML(typ="safe").load(read(chart / "Chart.yaml")["annotations"]["artifacthub.io/images"])
    assert [image["image"] for image in told[:2]] == references


def test_a_released_chart_leads_to_files_of_its_repository(chart: Path) -> None:
    package.name_source(chart, SOURCE)
    about, values = read(chart / "Chart.yaml"), read(chart / "values.yaml")
    assert about["home"] == SOURCE
    assert about["maintainers"][0]["name"] == "team"
    told = YAML(typ="safe").load(about["annotations"]["artifacthub.io/links"])
    runbooks = values["metrics"]["prometheusRule"]["runbooks"]
    for address in (about["icon"], runbooks, *(link["url"] for link in told)):
        place, _, path = address.partition(f"/v{about['version']}/")
        assert place in (f"{SOURCE}/blob", f"{SOURCE}/raw")
        assert (ROOT / path).is_file()
