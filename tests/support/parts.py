"""What a test, a bench or a demo needs besides Python: parts, each with a name.

    cd tests && python -m support.parts               bring here what `make test` needs
    cd tests && python -m support.parts neighbours    ... and `make test-neighbours`

A test says it by ``@pytest.mark.needs("postgres")``, or by asking for the fixture of that name; a
bench calls `require`. See `tiers` for what becomes of a test whose part cannot be had.
"""

import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from support import programs
from support.cluster import access, controlplane, images, namespace, node
from support.programs import Missing


def _nothing() -> None:
    """Ask no more of this machine."""


@dataclass(frozen=True)
class Part:
    """Programs and images, and a check that this machine can use them."""

    program_names: tuple[str, ...]
    image_sources: tuple[images.Source, ...] = ()
    check: Callable[[], None] = _nothing


PARTS: Final = {
    "kubectl": Part(("kubectl",)),
    "control_plane": Part(controlplane.PROGRAMS),
    "node": Part(node.PROGRAMS, check=namespace.check),
    "helm": Part(("helm",)),
    "helm3": Part(("helm3",)),
    "pgbouncer": Part(("pgbouncer",)),
    "postgres": Part(("postgres",)),
    "prometheus": Part(("prometheus", "promtool")),
    "alertmanager": Part(("prometheus-alertmanager", "amtool")),
    "actionlint": Part(("actionlint",)),
    "katib": Part(
        ("katib-controller", "katib-db-manager", "katib-goptuna", "katib-python", "ip"),
        check=namespace.check,
    ),
    "openssl": Part(("openssl",)),
    "release": Part(("crane", "cosign", "syft", "pypi-server")),
    "prometheus_operator": Part(("prometheus-operator", "admission-webhook")),
    "kueue": Part(("kueue",)),
    "browser": Part(("chromium", "chromedriver")),
    "oracle": Part(("oracle",)),
    "quick_image": Part(images.PROGRAMS, (images.BASE, images.QUICK_TRAINER)),
    "images": Part(images.PROGRAMS, images.EVERY),
}

NEIGHBOURS: Final = ("release", "prometheus_operator", "kueue")
"""Parts that the tests of tests/neighbours alone need."""

BENCHES: Final = ("katib",)
"""Parts that a bench alone needs."""

FIXTURES: Final = {
    "chromium": "browser",
    "control_plane": "kubectl" if access.given() else "control_plane",
    "node": "node",
    "oracle": "oracle",
    "postgresql": "postgres",
    "quick_image": "quick_image",
    "start_prometheus": "prometheus",
}
"""Fixtures that bring a part along."""


def allowed(names: Iterable[str]) -> frozenset[str]:
    """Return the programs of parts."""
    return frozenset(program for name in names for program in PARTS[name].program_names)


def provide(*names: str) -> None:
    """Bring parts here.

    Raises:
        Missing: this machine cannot have one of them.
    """
    for part in (PARTS[name] for name in names):
        part.check()
        programs.locate(*part.program_names)
        for source in part.image_sources:
            images.image(source)


def absent(*names: str) -> dict[str, float]:
    """Return what has to be built or installed first, and about how many seconds that takes."""
    found: dict[str, float] = {}
    for part in (PARTS[name] for name in names):
        found.update(programs.absent(*part.program_names))
        found.update(images.absent(*part.image_sources))
    return found


def require(*names: str) -> None:
    """Bring parts here, or end this process with a sentence that says which it lacks and why."""
    announce(absent(*names))
    for name in names:
        try:
            provide(name)
        except Missing as error:
            sys.exit(f"this needs {name.replace('_', ' ')}, but {error}")


def announce(builds: dict[str, float]) -> None:
    """Say what is about to be built or installed, if anything is."""
    if builds:
        what = ", ".join(f"{name} ({seconds:.0f} s)" for name, seconds in builds.items())
        minutes = max(1, round(sum(builds.values()) / 60))
        print(f"To be built or installed first, about {minutes} min on two quiet cores: {what}.",
              flush=True)  # fmt: skip


def of_tests(*, neighbours: bool) -> list[str]:
    """Return the parts that `make test` needs, and with neighbours `make test-neighbours` too."""
    others = BENCHES if neighbours else (*BENCHES, *NEIGHBOURS)
    return [name for name in PARTS if name not in others]


def in_ci() -> bool:
    """Tell whether every part has to be there."""
    return os.environ.get("CI") == "true"


def main() -> int:
    """Bring parts here; say what cannot be had, which fails where nothing may be skipped."""
    names = of_tests(neighbours="neighbours" in sys.argv[1:])
    builds = absent(*names)
    announce(builds)
    lacking = {}
    for name in names:
        try:
            provide(name)
        except Missing as error:
            lacking[name] = str(error)
    for name, why in lacking.items():
        print(f"Tests of {name.replace('_', ' ')} will not run: {why}")
    if not builds:
        print("Everything is here that the tests need.")
    return 1 if lacking and in_ci() else 0


if __name__ == "__main__":
    sys.exit(main())
