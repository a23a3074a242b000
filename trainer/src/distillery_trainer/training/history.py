"""``history.json`` in a trial's folder: what was measured, for people and for the next attempt.

``train`` writes it at every evaluation. Once it says that the trial is finished, the same request
is answered from it, without another training.
"""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Final, TypedDict

from distillery_contract.request import Request
from distillery_trainer import atomic
from distillery_trainer.training.checkpoint import Evaluation, MismatchError, Progress

NAME: Final = "history.json"


class Record(TypedDict):
    """What the file holds."""

    request: str  # identity of the request
    finished: bool
    steps: int  # planned
    seconds: float
    examples: int
    tokens: int
    evaluations: list[Evaluation]


def identity(request: Request) -> str:
    """Return a hash of what shapes a training.

    All attempts of a trial have the same, and so has a trial that continues another one. What a
    teacher must reach at least shapes none.
    """
    teacher = replace(request.teacher, floor={}) if request.teacher else None
    return earlier_identity(replace(request, teacher=teacher))


def earlier_identity(request: Request) -> str:
    """Return what the first release took for the identity: the teacher's floor was part of it."""
    same = replace(request, attempt=1, trial=0, output="", rungs=(), continues=None)
    return hashlib.sha256(same.to_json().encode()).hexdigest()


def write(request: Request, progress: Progress, steps: int, *, finished: bool) -> None:
    """Write the record of a trial."""
    document: Record = {
        "request": identity(request),
        "finished": finished,
        "steps": steps,
        "seconds": progress.seconds,
        "examples": progress.examples,
        "tokens": progress.tokens,
        "evaluations": progress.history,
    }
    path = Path(request.output) / NAME
    atomic.file(path, json.dumps(document, indent=1) + "\n")


def finished(request: Request) -> Record | None:
    """Return the record of a trial that ended well, or None.

    Raises:
        MismatchError: the folder has a record of another request.
    """
    path = Path(request.output) / NAME
    if not path.exists():
        return None
    document: Record = json.loads(path.read_text(encoding="utf-8"))
    if document["request"] not in (identity(request), earlier_identity(request)):
        rule = "a trial's folder must hold the same request only"
        raise MismatchError(f"{rule}, but {path} is of {document['request'][:12]}")
    return document if document["finished"] else None
