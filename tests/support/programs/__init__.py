"""The programs that tests, benches and demos run: found here, or brought here once.

`locate` is the one way to them, whatever they come from:

debian   packages of Debian: etcd, PostgreSQL, Prometheus, Chromium, containerd, buildah, ...
go       binaries built from Go modules: Kubernetes, CoreDNS, Helm, what a release needs
python   environments of pinned packages: the oracle's, an index of packages, Go itself
cache    where built things are kept, outside the checkout
errors   `Missing`: a program that this machine cannot have, and why

Only the standard library is needed: `make cluster` runs without an environment.
"""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

from support.programs import debian, go, python
from support.programs.errors import Missing

__all__ = ["Missing", "absent", "limited", "locate"]

SOURCES = (debian, go, python)

_allowed: ContextVar[frozenset[str] | None] = ContextVar("_allowed", default=None)


def locate(*names: str) -> list[str]:
    """Return the programs' paths, in order, after building or installing those that are not here.

    Raises:
        Missing: this machine cannot have one of them.
    """
    allowed = _allowed.get()
    if allowed is not None and not allowed.issuperset(names):
        raise AssertionError(
            f"a test runs only the programs of the parts that it says it needs, but this one asks"
            f" for {', '.join(sorted(set(names) - allowed))}: see tests/support/parts.py"
        )
    found = {}
    for source in SOURCES:
        found.update(source.locate(*(name for name in names if name in source.PROGRAMS)))
    return [found[name] for name in names]


def absent(*names: str) -> dict[str, float]:
    """Return what `locate` would bring here first, and about how many seconds that takes."""
    return {
        name: source.PROGRAMS[name].seconds
        for source in SOURCES
        for name in names
        if name in source.PROGRAMS and not source.here(name)
    }


@contextlib.contextmanager
def limited(names: frozenset[str]) -> Iterator[None]:
    """Let `locate` give these programs alone, for the length of a block.

    Other threads are not limited: they serve a fixture that outlives the block.
    """
    token = _allowed.set(names)
    try:
        yield
    finally:
        _allowed.reset(token)
