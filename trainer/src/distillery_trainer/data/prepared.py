"""What the stage ``prepare`` left for the trials: windows, questions and the teacher's logits."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from distillery_contract import request as requests
from distillery_trainer import sealed
from distillery_trainer.data import interim, questions, windows
from distillery_trainer.data.batches import Logits
from distillery_trainer.data.faults import DataError
from distillery_trainer.data.questions import Question
from distillery_trainer.data.windows import Windows


class PreparedMissing(DataError):
    """No whole prepared folder is there for a request; the stage ``prepare`` makes it."""


@dataclass(frozen=True)
class Prepared:
    """Everything that the trials of an experiment share; arrays are memory-mapped and read-only.

    Attributes:
        key: names everything that shaped it.
        folder: where it lies.
        train: windows to learn from.
        validation: windows to answer.
        questions: the validation questions.
        start: the teacher's start logits on ``train``, a flat array (t,) of float16; None without a
            teacher.
        end: its end logits, likewise.
        teacher_metrics: its evaluation on the validation questions; empty without a teacher.
        data: the settings that shaped the windows.
        tokenizer: folder of the tokenizer.
        pad: id of the padding token.
    """

    key: str
    folder: Path
    train: Windows
    validation: Windows
    questions: list[Question]
    start: NDArray[np.float16] | None
    end: NDArray[np.float16] | None
    teacher_metrics: Mapping[str, float]
    data: requests.Data
    tokenizer: Path
    pad: int

    def teacher(self) -> Logits | None:
        """Return the teacher's start and end logits, or None without a teacher."""
        return None if self.start is None or self.end is None else (self.start, self.end)

    def interim(self) -> "Prepared":
        """Return the same with the questions of evaluations before the end of a training."""
        share = self.data.interim_share
        if share is None:
            return self
        numbers = interim.part(self.questions, share)
        return replace(
            self,
            validation=self.validation.of_questions(numbers),
            questions=[self.questions[number] for number in numbers],
        )

    def on_test(self) -> "Prepared":
        """Return the same with the test questions and their windows in place of the validation's.

        Raises:
            PreparedMissing: they are not there.
        """
        place = self.folder / "test.json"
        if not place.exists():
            rule = "the stage prepare must have prepared test questions"
            raise PreparedMissing([f"{rule}, but {place} is not there"])
        test = windows.load(self.folder / "test")
        return replace(self, validation=test, questions=questions.read(place))


def open_folder(request: requests.Request, folder: Path) -> Prepared:
    """Open what lies in a folder, as a request needs it.

    Raises:
        PreparedMissing: it is not there, or not whole.
    """
    about = sealed.about(folder)
    if about is None:
        rule = "the stage prepare must have made the windows and logits of this request"
        raise PreparedMissing([f"{rule}, but {folder} is not there or not whole"])
    taught = request.teacher is not None
    return Prepared(
        key=folder.name,
        folder=folder,
        train=windows.load(folder / "train"),
        validation=windows.load(folder / "validation"),
        questions=questions.read(folder / "questions.json"),
        start=windows.mapped(folder / "start.npy") if taught else None,
        end=windows.mapped(folder / "end.npy") if taught else None,
        teacher_metrics=about["teacher_metrics"],
        data=request.data,
        tokenizer=folder / "tokenizer",
        pad=about["pad"],
    )
