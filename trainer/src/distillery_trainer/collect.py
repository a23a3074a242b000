"""The stage ``collect``: removes folders of trials that nobody needs. ``process`` calls it.

It does without torch, so it is done before the other stages have begun.
"""

import logging
import os
import shutil
from pathlib import Path

from distillery_contract.request import Request, RequestError

log = logging.getLogger(__name__)


def collect(request: Request) -> str:
    """Remove folders below the working directory; return a sentence that says how many.

    A link is removed, not followed. A folder that is missing was removed by an earlier attempt.

    Raises:
        OSError: a folder cannot be removed.
        RequestError: a folder lies elsewhere, behind a link. Then nothing is removed.
    """
    workspace = Path.cwd().resolve()
    places = {folder: _place(workspace, folder) for folder in request.remove}
    outside = {f: p for f, p in places.items() if not p.parent.is_relative_to(workspace)}
    if outside:
        rule = "remove must name folders below the workspace, but"
        raise RequestError([f"{rule} {f!r} leads to {p}" for f, p in outside.items()])
    removed = sum(_remove(place) for place in places.values())
    return f"{removed} of {len(places)} folders were there and are removed"


def _place(workspace: Path, folder: str) -> Path:
    """Return where a folder lies; it may be a link itself."""
    parent, name = os.path.split(workspace / folder)
    return Path(os.path.realpath(parent), name)


def _remove(place: Path) -> bool:
    if not os.path.lexists(place):
        return False
    log.info("removing %s", place)
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink()
    return True
