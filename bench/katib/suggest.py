"""Runs Katib's suggestion service hyperopt at an address of its own: `suggest.py ADDRESS`.

:mod:`katib.theirs` starts it in the environment of Katib's Python, which has Katib's sources.
"""

import sys

import main  # type: ignore[import-not-found]  # Katib's own, which listens on a fixed port

if __name__ == "__main__":
    main.DEFAULT_PORT = sys.argv[1]
    main.serve()
