"""How benches run a program that is measured."""

import shutil
import sys

FIRST = ("nice", "--adjustment=-10")
"""Runs a command before others.

A cluster's control plane has machines of its own, so that who uses it does not wait for it; a user
who may not go before others is told so, and waits.
"""


def python() -> str:
    """Return the system's Python if it is as new as this one, else this one.

    Debian compiles its Python, which is that of the image, with a profile; one that was compiled
    without is slower.
    """
    version = ".".join(map(str, sys.version_info[:2]))
    return shutil.which(f"python{version}", path="/usr/bin") or sys.executable
