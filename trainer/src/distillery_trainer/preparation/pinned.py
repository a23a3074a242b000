"""What ``prepare`` has pinned for an experiment: the models that its trials read, and from where.

Models are copied into the cache, each into a folder named by its contents. So trials ask no hub,
and a folder that is overwritten later changes nothing for them. ``pinned.json`` lies in the folder
of the experiment, which those of its trials lie in; it names each model, its commit on the hub, and
the digests of its files.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from distillery_contract import codec
from distillery_contract import request as requests
from distillery_contract.pinned import FILE, copy_name
from distillery_trainer import atomic, sealed
from distillery_trainer.data import dataset
from distillery_trainer.data.faults import DataError
from distillery_trainer.data.prepared import PreparedMissing
from distillery_trainer.preparation import models


@dataclass(frozen=True)
class Pin:
    """A model as it was when it was pinned.

    Attributes:
        model: its folder or its name on the hub, as the request has it.
        revision: likewise.
        commit: of the hub; None for a folder.
        digests: SHA-256 of each file.
        stamps: size in bytes and time of change in ns of each file of a local folder.
    """

    model: str
    revision: str | None
    commit: str | None
    digests: Mapping[str, str]
    stamps: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """The digest of all files, which names the copy."""
        return copy_name(self.digests)

    def changed(self) -> bool:
        """Tell whether the folder that was pinned is another one now, by sizes and times."""
        folder = Path(self.model)
        return folder.is_dir() and dict(self.stamps) not in ({}, _stamps(folder))


@dataclass(frozen=True)
class Pins:
    """Everything that the trials of an experiment read.

    Attributes:
        prepared: key of the prepared data.
        data: what the data are known by, for each split: a file's digest, or the hub's revision.
        models: by ``teacher`` and ``student``.
    """

    prepared: str
    data: Mapping[str, str]
    models: Mapping[str, Pin]

    def whole(self, cache: str) -> bool:
        """Tell whether all copies are there."""
        return all(sealed.about(place(cache, pin)) is not None for pin in self.models.values())

    def folders(self, cache: str) -> dict[str, Path]:
        """Return the folders of the copies.

        Raises:
            PreparedMissing: one is not there, or not whole.
        """
        if not self.whole(cache):
            rule = "the stage prepare must have copied the models of this trial"
            raise PreparedMissing([f"{rule}, but in {cache} they are not there or not whole"])
        return {source: place(cache, pin) for source, pin in self.models.items()}

    def changes(self) -> list[str]:
        """Return a sentence on each model whose folder is another one than when it was pinned."""
        return [
            f"{source}.model: {pin.model} has changed since the experiment was prepared, and what"
            " was pinned then is used"
            for source, pin in self.models.items()
            if pin.changed()
        ]


def pin(request: requests.Request) -> dict[str, Pin]:
    """Copy the models of a request into the cache, unless they are there.

    Raises:
        DataError: one is neither here nor on a reachable hub, or it changes meanwhile.
    """
    made: dict[str, Pin] = {}
    faults: list[str] = []
    for source, model in models.named(request).items():
        try:
            made[source] = _pin(source, model, request.cache)
        except DataError as error:
            faults += error.faults
    if faults:
        raise DataError(faults)
    return made


def _pin(source: str, model: requests.Teacher | requests.Student, cache: str) -> Pin:
    folder = models.folder(source, model)
    local = Path(str(model.model)).is_dir()
    made = Pin(
        str(model.model),
        model.revision,
        None if local else folder.name,  # a snapshot's folder has the name of its commit
        _digests(folder),
        _stamps(folder) if local else {},
    )

    def copy(partial: Path) -> dict[str, Any]:
        for name in made.digests:
            shutil.copyfile(folder / name, partial / name)
        if _digests(partial) != made.digests:
            raise DataError([f"{source}.model: {made.model} must not change while it is read"])
        return {"model": made.model, "commit": made.commit}

    sealed.make(place(cache, made), copy)
    return made


def write(pins: Pins, request: requests.Request) -> None:
    """Write what was pinned into the folder of an experiment."""
    place = Path(request.output) / FILE
    place.parent.mkdir(parents=True, exist_ok=True)
    atomic.file(place, json.dumps(asdict(pins), indent=1, ensure_ascii=False) + "\n")


def results(request: requests.Request) -> Path | None:
    """Return the folder of the experiment, which has what was pinned: its own, or one above."""
    output = Path(request.output)
    return next((f for f in (output, *output.parents) if (f / FILE).is_file()), None)


def read(request: requests.Request) -> Pins | None:
    """Return what was pinned for the models of a request.

    None if nothing was, or other models were.
    """
    folder = results(request)
    if folder is None:
        return None
    faults: list[str] = []
    pins = codec.decode(Pins, json.loads((folder / FILE).read_text(encoding="utf-8")), faults)
    named = {source: (m.model, m.revision) for source, m in models.named(request).items()}
    if pins is None or named != {s: (pin.model, pin.revision) for s, pin in pins.models.items()}:
        return None
    return pins


def of_trial(request: requests.Request) -> Pins:
    """Return what was pinned for a trial.

    Raises:
        PreparedMissing: nothing was; the stage prepare does it.
    """
    if pins := read(request):
        return pins
    rule = "the stage prepare must have pinned the models of this trial"
    raise PreparedMissing([f"{rule}, but no folder above {request.output} has their {FILE}"])


def applied(request: requests.Request, folders: Mapping[str, Path]) -> requests.Request:
    """Return a request that names the copies instead of the models."""
    teacher, student = request.teacher, request.student
    if teacher and "teacher" in folders:
        teacher = replace(teacher, model=str(folders["teacher"]), revision=None)
    if "student" in folders:
        student = replace(student, model=str(folders["student"]), revision=None)
    return replace(request, teacher=teacher, student=student)


def differences(before: Pins | None, now: Mapping[str, Pin]) -> list[str]:
    """Return which models differ from those that were pinned before."""
    known = before.models if before else now
    return [
        f"{source}.model must be what it was when the search was prepared, but {pin.model} has"
        " changed since: give the experiment another name"
        for source, pin in now.items()
        if pin.digests != known[source].digests
    ]


def place(cache: str, pin: Pin) -> Path:
    """Return the folder of a copy."""
    return Path(cache) / "models" / pin.digest


def _files(folder: Path) -> list[Path]:
    return sorted({path for pattern in models.FILES for path in folder.glob(pattern)})


def _digests(folder: Path) -> dict[str, str]:
    return {path.name: dataset.digest(path) for path in _files(folder)}


def _stamps(folder: Path) -> dict[str, str]:
    found = {path.name: path.stat() for path in _files(folder)}
    return {name: f"{stat.st_size} {stat.st_mtime_ns}" for name, stat in found.items()}
