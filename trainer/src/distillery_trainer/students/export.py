"""Copy a trained student: ``python -m distillery_trainer.students.export MODEL TARGET``.

`distillery export` calls it. The target is a folder that plain transformers loads.
"""

import argparse
import sys
from pathlib import Path

from distillery_trainer.students import model_folder
from distillery_trainer.students.families import SourceError


def main() -> int:
    """Read the command line and copy; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m distillery_trainer.students.export", description="Copy a trained student."
    )
    parser.add_argument("model", type=Path, help="folder of a saved student")
    parser.add_argument("target", type=Path, help="folder to write; must not exist yet")
    arguments = parser.parse_args()
    try:
        model_folder.export(arguments.model, arguments.target)
    except (FileExistsError, SourceError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
