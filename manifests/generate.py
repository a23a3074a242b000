"""Write manifests/crd.yaml from the code, so that it cannot drift. `make generate` runs it."""

from pathlib import Path

from distillery_operator.resource import yaml_files
from distillery_operator.resource.crd import definition

HEAD = "# Written by `make generate` from operator/src/distillery_operator/resource.\n"


def main() -> None:
    """Write the file beside this script."""
    text = HEAD + yaml_files.dump(definition.definition())
    Path(__file__).with_name("crd.yaml").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
