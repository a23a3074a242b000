"""What the stage ``prepare`` left for the trials: windows, questions and the teacher's logits."""

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from distillery_contract import request as requests
from distillery_trainer import store
from distillery_trainer.data import features
from distillery_trainer.data.features import Features
from distillery_trainer.data.loading import Answer, DataError, Question

log = logging.getLogger(__name__)


class PreparedMissing(DataError):
    """No whole prepared folder is there for a request; the stage ``prepare`` makes it."""


@dataclass(frozen=True)
class Prepared:
    """What the stage ``prepare`` left for the trials. Arrays are memory-mapped and read-only.

    Attributes:
        key: names everything that shaped it.
        folder: where it lies.
        train: windows to learn from.
        validation: windows to answer.
        questions: the validation questions.
        start: the teacher's start logits on ``train``, flat (t,) float16; None without a teacher.
        end: its end logits.
        teacher_metrics: its evaluation on the validation questions; empty without a teacher.
        data: the settings that shaped the windows.
        tokenizer: folder of the tokenizer.
        pad: id of the padding token.
    """

    key: str
    folder: Path
    train: Features
    validation: Features
    questions: list[Question]
    start: NDArray[np.float16] | None
    end: NDArray[np.float16] | None
    teacher_metrics: Mapping[str, float]
    data: requests.Data
    tokenizer: Path
    pad: int


def open_folder(request: requests.Request, folder: Path) -> Prepared:
    """Open what lies in a folder, as a request needs it.

    Raises:
        PreparedMissing: it is not there, or not whole.
    """
    about = store.manifest(folder)
    if about is None:
        rule = "the stage prepare must have made the features and logits of this request"
        raise PreparedMissing([f"{rule}, but {folder} is not there or not whole"])
    taught = request.teacher is not None
    return Prepared(
        key=folder.name,
        folder=folder,
        train=features.load(folder / "train"),
        validation=features.load(folder / "validation"),
        questions=_read_questions(folder / "questions.json"),
        start=features.mapped(folder / "start.npy") if taught else None,
        end=features.mapped(folder / "end.npy") if taught else None,
        teacher_metrics=about["teacher_metrics"],
        data=request.data,
        tokenizer=folder / "tokenizer",
        pad=about["pad"],
    )


def write_questions(path: Path, questions: list[Question]) -> None:
    """Write the validation questions, from which answers are measured."""
    records = [asdict(question) for question in questions]
    path.write_text(json.dumps(records, ensure_ascii=False), encoding="utf-8")


def _read_questions(path: Path) -> list[Question]:
    return [
        Question(**{**record, "answers": tuple(Answer(**a) for a in record["answers"])})
        for record in json.loads(path.read_text(encoding="utf-8"))
    ]
