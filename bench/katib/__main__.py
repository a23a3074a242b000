"""Runs :mod:`katib.command`: `python bench/katib`."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path += [str(ROOT / "bench"), str(ROOT / "tests")]

from katib import command

if __name__ == "__main__":
    command.main()
