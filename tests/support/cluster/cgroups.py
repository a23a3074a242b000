"""The control group that holds a node's pods: made for the node, removed with it."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")


@contextlib.contextmanager
def made(name: str) -> Iterator[None]:
    """Make an empty control group of a name at the top of each hierarchy, and remove it."""
    groups = [hierarchy / name for hierarchy in _hierarchies()]
    for group in groups:
        _remove(group)  # a node that was killed left it
        group.mkdir()
        _enable(group)
    try:
        yield
    finally:
        for group in groups:
            _remove(group)


def _hierarchies() -> list[Path]:
    """Return where control groups of version 1, version 2 or both are mounted."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    found = {Path(mount[1]) for mount in mounts if mount[2] in ("cgroup", "cgroup2")}
    return sorted(path for path in found if path.is_relative_to(ROOT))


def _enable(group: Path) -> None:
    """Let a group have what the one above it has: all controllers, all cores."""
    controllers = group.parent / "cgroup.controllers"  # version 2
    if controllers.exists():
        enabled = " ".join(f"+{name}" for name in controllers.read_text().split())
        (group.parent / "cgroup.subtree_control").write_text(enabled)
    for cores in ("cpuset.cpus", "cpuset.mems"):  # without them version 1 takes no process
        if (group.parent / cores).exists():
            (group / cores).write_text((group.parent / cores).read_text())


def _remove(group: Path) -> None:
    """Remove a control group and those in it; the kernel takes a moment to let go of them."""
    deadline = time.monotonic() + 10
    inner = sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True)
    for each in (*inner, group):
        while each.exists():
            try:
                each.rmdir()
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
