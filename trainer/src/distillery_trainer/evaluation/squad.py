"""The official metrics of SQuAD 2.0, from answers.

``evaluate`` calls it. transformers 5 has no such code any more; the tests hold it equal to 4.57.6's
``squad_evaluate``.
"""

import functools
import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from distillery_trainer.data.questions import Question
from distillery_trainer.evaluation.answers import Answers

_ARTICLES: Final = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION: Final = str.maketrans("", "", string.punctuation)

Floats = NDArray[np.float64]


def metrics(
    questions: Sequence[Question], answers: Answers, null_threshold: float
) -> dict[str, float]:
    """Return the official metrics in percent, named as in the contract.

    ``best_*`` are at the threshold that suits these very questions best. Names are absent where
    there is nothing to measure: no answerable, or no unanswerable questions.
    """
    has = np.array([bool(q.answers) for q in questions])
    found: dict[str, float] = {}
    for name, score in ("exact", exact), ("f1", f1):
        raw = np.array(
            [
                max(score(gold, text) for gold in _golds(question))
                for question, text in zip(questions, answers.text, strict=True)
            ],
            np.float64,
        )
        if answers.margin is None:
            found |= _means(name, raw, has)
            continue
        found |= _means(name, np.where(answers.margin > null_threshold, ~has, raw), has)
        loss = [-1.0 if text else 0.0 for text in answers.text]
        best, threshold = _best(np.where(has, raw, loss), answers.margin, np.sum(~has))
        found |= {f"best_{name}": best, f"best_{name}_thresh": threshold}
    return found


@functools.lru_cache(maxsize=2**18)
def normalise(text: str) -> str:
    """Return a text in lower case, without ASCII punctuation, articles and superfluous spaces."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def exact(gold: str, text: str) -> float:
    """Return 1 if two answers are the same after normalisation, else 0."""
    return float(normalise(gold) == normalise(text))


def f1(gold: str, text: str) -> float:
    """Return the harmonic mean of precision and recall of the words of an answer."""
    wanted, given = normalise(gold).split(), normalise(text).split()
    if not wanted or not given:
        return float(wanted == given)
    common = sum((Counter(wanted) & Counter(given)).values())
    if common == 0:
        return 0.0
    precision, recall = common / len(given), common / len(wanted)
    return 2 * precision * recall / (precision + recall)


def _golds(question: Question) -> list[str]:
    return [a.text for a in question.answers if normalise(a.text)] or [""]


def _means(name: str, score: Floats, has: NDArray[np.bool_]) -> dict[str, float]:
    parts = {name: score, f"HasAns_{name}": score[has], f"NoAns_{name}": score[~has]}
    return {key: float(100 * part.sum() / len(part)) for key, part in parts.items() if len(part)}


def _best(gain: Floats, margin: Floats, unanswerable: int) -> tuple[float, float]:
    """Return the best score in percent, and the lowest threshold that gives it.

    At first no question is answered. Then they are answered in the order of their margins: each
    adds its gain to the score, and the threshold moves only where the score is better than before.
    """
    ranking = np.argsort(margin, kind="stable")
    totals = np.cumsum(np.concatenate([[unanswerable], gain[ranking]]))
    best = int(np.argmax(totals))
    threshold = float(margin[ranking[best - 1]]) if best else 0.0
    return float(100 * totals[best] / len(gain)), threshold
