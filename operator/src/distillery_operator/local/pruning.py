"""What nobody owns in a workspace of this machine, and its removal. ``distillery prune`` calls it.

A search may run meanwhile: trials that have failed are not gone on with, and what is prepared right
now is locked.
"""

import contextlib
import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from distillery_contract.pinned import FILE, copy_name
from distillery_operator.engine import requests
from distillery_operator.errors import DistilleryError
from distillery_operator.local import runner
from distillery_operator.study import contents
from distillery_operator.study.database import of_file
from distillery_operator.study.tables import Stored
from distillery_operator.trials.trial import State

KEY: Final = re.compile("[0-9a-f]{32}")
"""Name of a folder of prepared data."""


@dataclass(frozen=True)
class Unowned:
    """A folder that nobody needs, and why."""

    folder: Path
    why: str


def look(workspace: Path) -> tuple[list[Unowned], list[str]]:
    """Find what nobody owns; return it, and why something was not looked at."""
    found: list[Unowned] = []
    keys: set[str] = set()
    faults: list[str] = []
    for results in sorted(path for path in workspace.glob("experiments/*") if path.is_dir()):
        found += [Unowned(path, "put aside") for path in sorted(results.glob("discarded/*"))]
        found += [Unowned(p, "put aside") for p in sorted(results.glob("trials/*/discarded-*"))]
        try:
            stored = _read(results)
            if stored is None:
                if any(results.glob("trials/*")):
                    raise DistilleryError(f"{results} has no study, so nobody knows what it uses")
                continue
            held = contents.of(stored.attributes, stored.rows.own)
            keys |= _pinned(results)
        except (DistilleryError, ValueError, KeyError) as error:
            faults.append(f"no prepared data is removed: {error}")
            continue
        if held.preparation:
            keys.add(held.preparation.key)
        elif runner.in_use(results):
            faults.append(f"no prepared data is removed: {results} prepares some right now")
        for trial in held.trials:
            if trial.state is State.FAILED:
                folders = (results / f"trials/{trial.number:05d}" / n for n in requests.TAKES_ROOM)
                found += [Unowned(f, "its trial has failed") for f in folders if f.is_dir()]
    if not faults:
        cache = workspace / requests.CACHE
        cached = [*sorted(cache.glob("*")), *sorted((cache / "models").glob("*"))]
        unused = [p for p in cached if KEY.fullmatch(p.name) and p.name not in keys]
        found += [Unowned(path, "prepared data of no experiment") for path in unused]
    return found, faults


def remove(workspace: Path, unowned: Unowned) -> bool:
    """Remove a folder; return whether it went: what somebody has begun to use stays.

    Whoever would prepare the same data now waits for the lock, and makes them again.
    """
    with _unless_locked(unowned.folder) as free:
        if free and (free := unowned in look(workspace)[0]):
            shutil.rmtree(unowned.folder)
    return free


def size(folder: Path) -> int:
    """Return the bytes of all files in a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def _pinned(results: Path) -> set[str]:
    """Return the names of the copies of models that an experiment has pinned in the cache.

    Raises:
        ValueError: nobody can tell which.
    """
    file = results / FILE
    if not file.exists():
        return set()
    pins = json.loads(file.read_text(encoding="utf-8"))["models"].values()
    return {copy_name(pin["digests"]) for pin in pins}


def _read(results: Path) -> Stored | None:
    """Read the study of a results folder; None if it has none."""
    place = of_file(Path(os.path.realpath(results / "study.db")))
    try:
        return place.read() if place.find() is not None else None
    finally:
        place.close()


@contextlib.contextmanager
def _unless_locked(folder: Path) -> Iterator[bool]:
    """Hold the lock of prepared data, as who makes them does; tell whether it was free."""
    lock = folder.with_name(f"{folder.name}.lock")
    if not lock.exists():
        yield True
        return
    with lock.open("w") as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
