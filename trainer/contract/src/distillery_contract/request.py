"""The one JSON document that tells a trainer what to do, passed in one environment variable."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any, Final

from distillery_contract import parameters as hyperparameters
from distillery_contract.parameters import Value

VERSION: Final = 1


class RequestError(ValueError):
    """A request breaks rules; ``faults`` has every one of them."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


class Stage(StrEnum):
    """What a trainer's process is asked to do."""

    DESCRIBE = "describe"  # read the model configurations, report the dimensions
    PREPARE = "prepare"  # check and featurise the data, run the teacher once
    TRAIN = "train"  # train one student, by the teacher's stored logits
    COLLECT = "collect"  # remove folders of trials that nobody needs


@dataclass(frozen=True)
class Data:
    """Question-answering data in SQuAD 2.0's format. Lengths are in tokens.

    ``train`` and ``validation`` are paths of JSON files; without them ``name`` is a data set of the
    hub with splits so named.
    """

    name: str | None = None
    train: str | None = None
    validation: str | None = None
    unanswerable: bool = True  # SQuAD 2.0: some questions have no answer
    max_length: int = 384
    stride: int = 128
    max_query_length: int = 64
    max_answer_length: int = 30
    n_best: int = 20
    null_threshold: float = 0.0


@dataclass(frozen=True)
class Teacher:
    """A fine-tuned model: a folder or a name on the hub. Below its floor ``prepare`` refuses it."""

    model: str
    revision: str | None = None
    floor: Mapping[str, float] = field(
        default_factory=dict
    )  # metric -> least value on the validation set


@dataclass(frozen=True)
class Student:
    """Where a Pretrained student, or the shape of one from Scratch, comes from."""

    model: str | None = None
    revision: str | None = None


@dataclass(frozen=True)
class Request:
    """What one process is to do. Paths are relative to the trainer's working directory.

    Attributes:
        experiment: name of the experiment, for logs.
        stage: what to do.
        data: the questions.
        teacher: who teaches; None trains on the labels alone (``alpha_ce`` is then 0).
        student: where students come from.
        cache: folder of prepared features and teacher logits, shared by experiments.
        output: folder of this trial: checkpoints, model, predictions.
        trial: number of the trial; 0 for other stages.
        prepared: key that stage prepare reported, so that no trial reads the data again; without
            it a trial works out the key anew.
        attempt: 1 for the first process of a trial, more after interruptions.
        parameters: hyperparameters; what is missing is at its default.
        rungs: shares of the steps, above 0 and below 1, after which to evaluate besides. They
            change nothing else of a training, so an attempt may have others than the one before.
        continues: folder of the trial from whose newest checkpoint this one starts, while it has
            none of its own; both are the same training.
        remove: folders to remove (stage collect).
    """

    experiment: str
    stage: Stage
    data: Data
    teacher: Teacher | None
    student: Student
    cache: str
    output: str
    trial: int = 0
    attempt: int = 1
    prepared: str | None = None
    parameters: Mapping[str, Value] = field(default_factory=dict)
    rungs: Sequence[float] = ()
    continues: str | None = None
    remove: Sequence[str] = ()
    version: int = VERSION

    def to_json(self) -> str:
        """Write the document: keys sorted, so that equal requests are equal texts."""
        return json.dumps(asdict(self), sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "Request":
        """Read and check a document.

        Raises:
            RequestError: with every fault: malformed JSON, an unknown version or field, a wrong
                type, a broken bound.
        """
        try:
            document = json.loads(text)
        except ValueError as error:
            raise RequestError([f"the request must be JSON, but it is not: {error}"]) from error
        if not isinstance(document, dict):
            raise RequestError(
                [f"the request must be a JSON object, but got {type(document).__name__}"]
            )
        if document.get("version") != VERSION:
            raise RequestError([f"version must be {VERSION}, but got {document.get('version')!r}"])
        faults: list[str] = []
        parts: dict[str, Any] = {
            "data": _part(Data, document.get("data"), "data", faults),
            "student": _part(Student, document.get("student"), "student", faults),
            "teacher": None,
        }
        if document.get("teacher") is not None:
            parts["teacher"] = _part(Teacher, document["teacher"], "teacher", faults)
        stages = [s.value for s in Stage]
        if document.get("stage") in stages:
            parts["stage"] = Stage(document["stage"])
        else:
            faults.append(
                f"stage must be one of {', '.join(stages)}, but got {document.get('stage')!r}"
            )
        given = document.get("parameters", {})
        if isinstance(given, dict):
            broken = hyperparameters.faults(given) + hyperparameters.unused(given)
            faults += [f"parameters.{fault}" for fault in broken]
        else:
            faults.append(f"parameters must be an object, but got {given!r}")
        parts["remove"] = _folders(document, faults)
        parts["rungs"] = _shares(document, faults)
        request = _part(cls, {**document, **parts}, "", faults)
        if faults:
            raise RequestError(faults)
        assert isinstance(request, cls)
        return request


def _shares(document: Mapping[str, Any], faults: list[str]) -> tuple[float, ...]:
    """Return the rungs of a document; note what is no share of a training."""
    given = document.get("rungs", [])
    if not isinstance(given, list):
        faults.append(f"rungs must be a list, but got {given!r}")
        return ()
    shares = tuple(share for share in given if isinstance(share, float) and 0 < share < 1)
    if len(shares) < len(given):
        faults.append(f"rungs must lie between 0 and 1, but got {given!r}")
    return shares


def _folders(document: Mapping[str, Any], faults: list[str]) -> tuple[str, ...]:
    """Return the folders that a document asks to remove; note what nobody may ask for."""
    given = document.get("remove", [])
    if not isinstance(given, list):
        faults.append(f"remove must be a list, but got {given!r}")
        return ()
    if given and document.get("stage") != Stage.COLLECT:
        stage = document.get("stage")
        faults.append(f"remove is consumed only if stage is collect, but it is {stage!r}")
    faults += [
        f"remove must name folders below the workspace, without '..', but got {folder!r}"
        for folder in given
        if not _below(folder)
    ]
    return tuple(given)


def _below(folder: object) -> bool:
    """Tell whether a value is a path that leads down from where it starts."""
    # What cannot be printed, NUL and lone surrogates among it, no system takes for a path.
    if not isinstance(folder, str) or not folder.isprintable():
        return False
    path = PurePosixPath(folder)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "str": (str,),
    "int": (int,),
    "bool": (bool,),
    "float": (int, float),
    "str | None": (str, type(None)),
}


def _part(cls: type, document: object, where: str, faults: list[str]) -> object:
    """Build one dataclass from its part of the document; note each fault with its field's path."""
    prefix = f"{where}." if where else ""
    if not isinstance(document, dict):
        faults.append(f"{where or 'the request'} must be an object, but got {document!r}")
        return None
    known = {f.name: f for f in fields(cls)}
    before = len(faults)
    faults += [
        f"{prefix}{name}: no such field; known are {', '.join(known)}"
        for name in document
        if name not in known
    ]
    for name, value in document.items():
        wanted = known[name].type if name in known else None
        types = _TYPES.get(
            wanted if isinstance(wanted, str) else getattr(wanted, "__name__", str(wanted))
        )
        if types and (
            not isinstance(value, types) or (isinstance(value, bool) and bool not in types)
        ):
            names = " or ".join(t.__name__ for t in types)
            faults.append(f"{prefix}{name} must be of type {names}, but got {value!r}")
    try:
        return (
            cls(**{k: v for k, v in document.items() if k in known})
            if len(faults) == before
            else None
        )
    except TypeError as error:  # a field without default is missing
        faults.append(f"{where or 'the request'}: {error}")
        return None
