"""Write what the chart takes from elsewhere, so that it cannot drift. `make generate` runs it.

The CustomResourceDefinition comes from manifests/crd.yaml, the table of values in the chart's
README from the comments of values.yaml: `# -- ` describes the value below it.
"""

import json
import re
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

CHART = Path(__file__).parent / "distillery"
CRD = Path(__file__).parents[1] / "manifests" / "crd.yaml"
HEADING = "## Values\n"


def main() -> None:
    """Write the generated parts."""
    (CHART / "files" / "crd.yaml").write_text(CRD.read_text(encoding="utf-8"), encoding="utf-8")
    readme = CHART / "README.md"
    written, _, _ = readme.read_text(encoding="utf-8").partition(HEADING)
    values = (CHART / "values.yaml").read_text(encoding="utf-8")
    readme.write_text(f"{written}{HEADING}\n{table(values)}", encoding="utf-8")


def table(text: str) -> str:
    """Return the table of values, by the text of values.yaml."""
    values = YAML(typ="safe").load(text)
    rows = [
        f"| `{path}` | `{json.dumps(_value(values, path))}` | {_cell(description)} |\n"
        for path, description in described(text)
    ]
    return "".join(["| value | default | |\n|---|---|---|\n", *rows])


def described(text: str) -> Iterator[tuple[str, str]]:
    """Yield each described value's path, such as ``crds.keep``, and its description."""
    parents: list[tuple[int, str]] = []
    description = ""
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip())
        if found := re.match(r" *# -- (.+)", line):
            description = found[1]
        elif found := re.match(r" *([A-Za-z]+):", line):
            parents = [parent for parent in parents if parent[0] < indent]
            parents.append((indent, found[1]))
            if description:
                yield ".".join(key for _, key in parents), description
                description = ""


def _value(values: Any, path: str) -> Any:
    return reduce(lambda part, key: part[key], path.split("."), values)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    main()
