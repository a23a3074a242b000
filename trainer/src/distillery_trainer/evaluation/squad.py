"""SQuAD 2.0 without a model: from logits to answers, from answers to the official metrics.

``evaluate`` calls it. transformers 5 has neither any more; the tests hold both equal to 4.57.6's
``compute_predictions_logits`` and ``squad_evaluate``.
"""

import functools
import re
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from distillery_contract import request
from distillery_trainer.data.features import Features
from distillery_trainer.data.loading import Question

_CHUNK: Final = 256
_ARTICLES: Final = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION: Final = str.maketrans("", "", string.punctuation)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Answers:
    """What a model answers, in the order of the questions.

    Attributes:
        text: each question's best piece of context, whether or not silence scores better.
        margin: (q,) score of silence less that of the text; None if silence is no answer.
    """

    text: list[str]
    margin: Floats | None

    def given(self, null_threshold: float) -> list[str]:
        """Return the answers with "" wherever the margin is above the threshold."""
        if self.margin is None:
            return self.text
        return [
            "" if m > null_threshold else t for t, m in zip(self.text, self.margin, strict=True)
        ]


def answers(
    questions: Sequence[Question],
    features: Features,
    start_logits: NDArray[np.float32],
    end_logits: NDArray[np.float32],
    data: request.Data,
) -> Answers:
    """Find each question's best answer in flat (t,) logits.

    A window's candidates are the pairs among its ``n_best`` start and ``n_best`` end tokens, of all
    its tokens, that lie in the context, do not end before they start, have at most
    ``max_answer_length`` tokens, and start where no other window shows more context around. The
    best sum of logits wins, the first among equals. Silence scores the least start[CLS] + end[CLS]
    of the windows. A question without candidates has the text "" and scores 0 (the official code
    answers the word "empty" there, an oversight).
    """
    score, spans = _best_spans(features, start_logits, end_logits, data)
    firsts = np.searchsorted(features.question, np.arange(len(questions)))
    # A stable sort: among the windows of a question the best score, among equals the first window.
    best = np.lexsort((-score, features.question))[firsts]
    found = np.isfinite(score[best])
    characters = features.offsets[features.rows[best, None] + spans[best]]
    text = [
        question.context[span[0, 0] : span[1, 1]] if known else ""
        for question, span, known in zip(questions, characters, found, strict=True)
    ]
    if not data.unanswerable:
        return Answers(text, None)
    cls = features.rows[:-1]
    silence = start_logits[cls].astype(np.float64) + end_logits[cls]
    return Answers(text, np.minimum.reduceat(silence, firsts) - np.where(found, score[best], 0))


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
    """Lower, then drop ASCII punctuation, then the articles, then superfluous white space."""
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
    """Return the best score in percent and its least threshold.

    Beginning with silence everywhere, questions are answered in the order of their margins; each
    adds its gain to the score, and only a strictly better score moves the threshold.
    """
    ranking = np.argsort(margin, kind="stable")
    totals = np.cumsum(np.concatenate([[unanswerable], gain[ranking]]))
    best = int(np.argmax(totals))
    threshold = float(margin[ranking[best - 1]]) if best else 0.0
    return float(100 * totals[best] / len(gain)), threshold


def _best_spans(
    features: Features,
    start_logits: NDArray[np.float32],
    end_logits: NDArray[np.float32],
    data: request.Data,
) -> tuple[Floats, NDArray[np.int64]]:
    """Return each window's best score (n,), -inf without candidates, and its two tokens (n, 2)."""
    score = np.empty(len(features))
    spans = np.empty((len(features), 2), np.int64)
    inside, home = _most_context(features)
    for rows in features.by_length(_CHUNK):
        # (B, n) each: the best tokens, the first among equals, and their logits.
        first, start = _top(features.padded(start_logits, rows, -np.inf), data.n_best)
        last, end = _top(features.padded(end_logits, rows, -np.inf), data.n_best)
        begins = np.take_along_axis(features.padded(home, rows, 0), first, axis=1)
        ends = np.take_along_axis(features.padded(inside, rows, 0), last, axis=1)
        size = last[:, None, :] - first[:, :, None] + 1  # (B, n, n)
        allowed = begins[:, :, None] & ends[:, None, :]
        allowed &= (size >= 1) & (size <= data.max_answer_length)
        pairs = np.where(allowed, start[:, :, None] + end[:, None, :], -np.inf)
        pairs = pairs.reshape(len(rows), -1)
        best = pairs.argmax(axis=1)
        line, width = np.arange(len(rows)), last.shape[1]
        score[rows] = pairs[line, best]
        spans[rows, 0] = first[line, best // width]
        spans[rows, 1] = last[line, best % width]
    return score, spans


def _top(logits: NDArray[np.float32], count: int) -> tuple[NDArray[np.int64], Floats]:
    order = np.argsort(-logits, axis=1, kind="stable")[:, :count]
    return order, np.take_along_axis(logits, order, axis=1).astype(np.float64)


def _most_context(features: Features) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Tell which tokens are context (t,), and which of these no other window shows better (t,).

    How well a window shows a token: the fewer of the context's tokens to its left and to its right,
    and 0.01 of the window's context on top; the first window among equals.
    """
    window = np.repeat(np.arange(len(features)), features.lengths())
    place = np.arange(len(window)) - features.rows[window]
    begin, end = features.context[window].T
    inside = (place >= begin) & (place < end)
    home = inside.copy()
    several = np.bincount(features.question)[features.question] > 1
    shared = np.flatnonzero(inside & several[window])
    window, place, begin, end = (a[shared] for a in (window, place, begin, end))
    shown = np.minimum(place - begin, end - 1 - place) + 0.01 * (end - begin)
    question, token = features.question[window], features.first[window] + place - begin
    ranking = np.lexsort((-shown, token, question))
    same = (np.diff(question[ranking]) == 0) & (np.diff(token[ranking]) == 0)
    home[shared[ranking[1:][same]]] = False
    return inside, home
