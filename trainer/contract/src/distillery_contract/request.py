"""The one JSON document that tells a trainer what to do, passed in one environment variable."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any, Final

from distillery_contract import codec
from distillery_contract import parameters as hyperparameters
from distillery_contract.parameters import Value

VERSION: Final = 1


class RequestError(ValueError):
    """A request breaks rules; ``faults`` has a sentence on each."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


class Stage(StrEnum):
    """What a trainer's process is asked to do."""

    DESCRIBE = "describe"  # read the configurations of the models, report their dimensions
    PREPARE = "prepare"  # check the data, cut them into windows, run the teacher once
    TRAIN = "train"  # train one student, by the teacher's stored logits
    TEST = "test"  # evaluate one trained student on the test questions, once
    COLLECT = "collect"  # remove folders of trials that nobody needs
    CONFIRM = "confirm"  # the operator's own word: its requests say train, and name another seed

    @property
    def trains(self) -> bool:
        """Whether a process of this stage trains a student."""
        return self in (Stage.TRAIN, Stage.CONFIRM)


class FaultPolicy(StrEnum):
    """What follows from questions that cannot serve."""

    REFUSE = "Refuse"  # the data are refused
    DROP = "Drop"  # the questions are left out, up to a limit


_LATER: Final = {codec.LATER: True}


@dataclass(frozen=True)
class Data:
    """Question-answering data in SQuAD 2.0's format. Lengths are in tokens.

    Attributes:
        name: data set of the hub with the splits train and validation, instead of two paths.
        train: path of a file: JSON, JSON Lines or Parquet.
        validation: path of such a file.
        unanswerable: whether some questions have no answer, as in SQuAD 2.0.
        max_length: of a window.
        stride: tokens that neighbouring windows of a context share.
        max_query_length: tokens of a question that are read.
        max_answer_length: of an answer.
        n_best: start tokens, and end tokens, of a window that are looked at for an answer.
        null_threshold: silence wins where it scores better than the answer by more than this.
        test: path of a file with questions that no decision may read.
        test_share: share of the validation questions, in whole articles, that are such instead.
        interim_share: share of the validation questions, in whole contexts, that evaluations before
            the end of a training are on; all of them unless given.
        faults: what follows from questions that cannot serve.
        max_dropped_percent: of the questions of a split, with ``FaultPolicy.DROP``.
        max_unknown_percent: of a split's tokens, which the tokenizer has no word for.
        max_long_answer_percent: of a split's questions, whose answers exceed ``max_answer_length``.
        max_shared_percent: of the questions of validation or test, which training has too.
    """

    name: str | None = None
    train: str | None = None
    validation: str | None = None
    unanswerable: bool = True
    max_length: int = 384
    stride: int = 128
    max_query_length: int = 64
    max_answer_length: int = 30
    n_best: int = 20
    null_threshold: float = 0.0
    test: str | None = field(default=None, metadata=_LATER)
    faults: FaultPolicy = field(default=FaultPolicy.REFUSE, metadata=_LATER)
    max_dropped_percent: float = field(default=1.0, metadata=_LATER)
    max_unknown_percent: float = field(default=2.0, metadata=_LATER)
    max_long_answer_percent: float = field(default=5.0, metadata=_LATER)
    max_shared_percent: float = field(default=1.0, metadata=_LATER)
    test_share: float | None = field(default=None, metadata=_LATER)
    interim_share: float | None = field(default=None, metadata=_LATER)

    @property
    def has_test(self) -> bool:
        """Whether there are test questions."""
        return self.test is not None or self.test_share is not None


@dataclass(frozen=True)
class Teacher:
    """A fine-tuned model.

    Attributes:
        model: a folder, or a name on the hub.
        revision: of the name on the hub.
        floor: the least values of metrics on the validation set; ``prepare`` refuses a teacher that
            is below.
    """

    model: str
    revision: str | None = None
    floor: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Student:
    """Where a Pretrained student, or the shape of one from Scratch, comes from."""

    model: str | None = None
    revision: str | None = None


def _broken_parameters(given: Mapping[str, Any]) -> list[str]:
    broken = hyperparameters.faults(given) + hyperparameters.unused(given)
    return [f"parameters.{fault}" for fault in broken]


def _broken_rungs(given: Sequence[Any]) -> list[str]:
    if all(isinstance(share, float) and 0 < share < 1 for share in given):
        return []
    return [f"rungs must lie between 0 and 1, but got {given!r}"]


def _broken_folders(given: Sequence[Any]) -> list[str]:
    rule = "remove must name folders below the workspace, without '..'"
    return [f"{rule}, but got {folder!r}" for folder in given if not _leads_down(folder)]


def _leads_down(folder: object) -> bool:
    # A path has no characters that cannot be printed, such as NUL or a lone surrogate.
    if not isinstance(folder, str) or not folder.isprintable():
        return False
    path = PurePosixPath(folder)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


@dataclass(frozen=True)
class Request:
    """What one process is to do. Paths are relative to the trainer's working directory.

    Attributes:
        experiment: name of the experiment, for logs.
        stage: what to do.
        data: the questions.
        teacher: who teaches; None trains on the labels alone (``alpha_ce`` is then 0).
        student: where students come from.
        cache: folder of prepared windows and teacher logits, shared by experiments.
        output: folder of this trial: checkpoints, model, predictions. For the stage prepare it is
            the folder of the experiment, which those of its trials lie in.
        trial: number of the trial; 0 for other stages.
        prepared: key that the stage prepare reported. The stage prepare has it if a search was
            prepared before; then it makes the same again, or refuses.
        attempt: 1 for the first process of a trial, more after interruptions.
        parameters: hyperparameters; those that are missing have their default.
        rungs: shares of the steps, above 0 and below 1, after which to evaluate as well. They
            change nothing else of a training, so an attempt may have others than the one before.
        continues: folder of a trial of the same training. This trial starts from the newest
            checkpoint there, as long as it has none of its own.
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
    parameters: Mapping[str, Value] = field(
        default_factory=dict, metadata={codec.RULE: _broken_parameters}
    )
    rungs: Sequence[float] = field(default=(), metadata={codec.RULE: _broken_rungs})
    continues: str | None = None
    remove: Sequence[str] = field(default=(), metadata={codec.RULE: _broken_folders})
    version: int = VERSION

    def to_json(self) -> str:
        """Write the document. Its keys are sorted, so equal requests are equal texts."""
        return codec.encode(self)

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
        request = codec.decode(cls, document, faults)
        if document.get("remove") and (stage := document.get("stage")) != Stage.COLLECT:
            faults.append(f"remove is consumed only if stage is collect, but it is {stage!r}")
        if document.get("stage") == Stage.CONFIRM:
            faults.append("stage must not be confirm: a further training has the stage train")
        if request is None or faults:
            raise RequestError(faults)
        return request
