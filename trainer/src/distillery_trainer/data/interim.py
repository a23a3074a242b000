"""The validation questions that evaluations before the end of a training are on.

``prepared`` calls it. All trials of an experiment have the same, so what early stopping compares is
comparable.
"""

import hashlib
from collections import defaultdict
from collections.abc import Sequence

from distillery_trainer.data.questions import Question


def part(questions: Sequence[Question], share: float) -> list[int]:
    """Return the numbers of a share of the questions at least, ascending, in whole contexts.

    Which contexts these are follows from their texts alone. If some of all questions have an answer
    and some have none, so do some of these: a collapse shows in both.
    """
    contexts = defaultdict[str, list[int]](list)
    for number, question in enumerate(questions):
        contexts[question.context].append(number)
    kinds = {bool(question.answers) for question in questions}
    chosen: list[int] = []
    for context in sorted(contexts, key=_digest):
        if len(chosen) >= share * len(questions) and kinds == {
            bool(questions[number].answers) for number in chosen
        }:
            break
        chosen += contexts[context]
    return sorted(chosen)


def _digest(context: str) -> str:
    return hashlib.sha256(context.encode()).hexdigest()
