"""``python -m distillery_operator`` is the command ``distillery``."""

import sys

from distillery_operator.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
