"""Leave a node running on this machine, for demos and for a look at it.

    cd tests
    eval "$(python -m support.cluster up)"     start it, or find it; says how to reach it
    python -m support.cluster load FILE.tar    bring a docker archive's images to it
    python -m support.cluster status           say whether it runs
    python -m support.cluster down             end it and remove what it left

A process in the background keeps the node, and a lock as long as it lives: the node ends with that
process, whatever ends it.
"""

import argparse
import dataclasses
import fcntl
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TextIO

from support import programs
from support.cluster import node
from support.cluster.errors import ClusterError, NotReady
from support.programs import cache


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a node is left running, and what lies beside it."""

    folder: Path

    @property
    def state(self) -> Path:
        """Written when the node is ready."""
        return self.folder / "state.json"

    @property
    def lock(self) -> Path:
        """Held by the keeper, whose process number it holds."""
        return self.folder.with_suffix(".lock")

    @property
    def log(self) -> Path:
        """What the keeper has to say."""
        return self.folder.with_suffix(".log")


def up(place: Place) -> None:
    """Start the node, unless it runs, and say how to reach it."""
    node.provide()
    with place.lock.open("a") as lock:
        if _take(lock):
            shutil.rmtree(place.folder, ignore_errors=True)  # its keeper was killed
            _start_keeper(place, lock)
    while not place.state.exists():
        if not runs(place):
            raise NotReady(f"the node must start, but: {place.log.read_text()[-2000:]}")
        time.sleep(0.1)
    status(place)


def keep(place: Place) -> None:
    """Keep a node until somebody asks this process to end."""
    signal.signal(signal.SIGTERM, _end)
    with node.Node(place.folder) as kept:
        state = {"kubeconfig": str(kept.plane.kubeconfig), "namespace": kept.namespace}
        partial = place.state.with_suffix(".partial")
        partial.write_text(json.dumps(state), encoding="utf-8")
        partial.rename(place.state)
        signal.pause()


def load(place: Place, archives: list[Path]) -> None:
    """Bring the archives' images to the node."""
    first = _state(place)["namespace"]
    for archive in archives:
        node.load(int(first), archive)


def status(place: Place) -> None:
    """Say how to reach the node, in words that a shell can run."""
    state = _state(place)
    (kubectl,) = programs.locate("kubectl")
    print(f"export KUBECONFIG={shlex.quote(str(state['kubeconfig']))}")
    print(f'export PATH={shlex.quote(str(Path(kubectl).parent))}:"$PATH"')


def down(place: Place) -> None:
    """End the node, if it runs, and remove what it left."""
    if runs(place):
        os.kill(int(place.lock.read_text(encoding="utf-8")), signal.SIGTERM)
    while runs(place):
        time.sleep(0.1)
    shutil.rmtree(place.folder, ignore_errors=True)
    place.log.unlink(missing_ok=True)


def runs(place: Place) -> bool:
    """Tell whether the node runs, or is about to."""
    with place.lock.open("a") as lock:
        return not _take(lock)


def _start_keeper(place: Place, lock: TextIO) -> None:
    """Start the keeper, which inherits the lock and passes it on to nobody."""
    with place.log.open("w") as log:
        keeper = subprocess.Popen(
            [sys.executable, "-m", "support.cluster", f"--folder={place.folder}", "keep"],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[lock.fileno()],
            start_new_session=True,
        )
    lock.truncate(0)
    lock.write(str(keeper.pid))


def _end(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit()


def _take(lock: TextIO) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _state(place: Place) -> dict[str, str | int]:
    if not (runs(place) and place.state.exists()):
        raise NotReady("a node must run: `python -m support.cluster up` starts one")
    state: dict[str, str | int] = json.loads(place.state.read_text(encoding="utf-8"))
    return state


def main() -> None:
    """Run the command that is asked for."""
    parser = argparse.ArgumentParser(prog="python -m support.cluster")
    parser.add_argument("--folder", type=Path, default=cache.folder() / "cluster")
    commands = parser.add_subparsers(required=True)
    for command in (up, down, status, keep):
        added = commands.add_parser(command.__name__, help=command.__doc__)
        added.set_defaults(command=command)
    loading = commands.add_parser("load", help=load.__doc__)
    loading.add_argument("archives", nargs="+", type=Path)
    loading.set_defaults(command=load)
    arguments = vars(parser.parse_args())
    run, place = arguments.pop("command"), Place(arguments.pop("folder").resolve())
    try:
        run(place, **arguments)
    except (ClusterError, programs.Missing) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
