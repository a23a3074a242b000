"""Write the quickstart: ``python -m distillery_quickstart FOLDER``."""

import argparse
import logging
import sys
from pathlib import Path

from distillery_quickstart import build


def main() -> int:
    """Read the command line and build; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m distillery_quickstart",
        description="Write train.json, validation.json and a fine-tuned teacher/ into a folder.",
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--cache",
        type=Path,
        default=build.default_cache(),
        help="where finished teachers are kept (default: %(default)s)",
    )
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        build.build(arguments.folder, arguments.cache)
    except build.BuildError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
