"""From logits to answers: which piece of its context answers a question, or that nothing does.

``evaluate`` calls it. transformers 5 has no such code any more; the tests hold it equal to 4.57.6's
``compute_predictions_logits``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from distillery_contract import request
from distillery_trainer.data.questions import Question
from distillery_trainer.data.windows import Windows

_CHUNK: Final = 256

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]


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
        """Return the answers; a question whose margin is above the threshold has the answer ""."""
        if self.margin is None:
            return self.text
        return [
            "" if m > null_threshold else t for t, m in zip(self.text, self.margin, strict=True)
        ]


def extract(
    questions: Sequence[Question],
    windows: Windows,
    start_logits: NDArray[np.float32],
    end_logits: NDArray[np.float32],
    data: request.Data,
) -> Answers:
    """Find each question's best answer in flat (t,) logits.

    In each window the ``n_best`` tokens with the highest start logits are paired with those that
    have the highest end logits. A pair is a candidate if

    * both tokens lie in the context,
    * it does not end before it starts, and has at most ``max_answer_length`` tokens,
    * no other window shows its first token with more context around it.

    The candidate with the highest sum of its two logits wins, the first among equals. Silence
    scores the lowest start[CLS] + end[CLS] of the question's windows. A question without candidates
    has the text "" and scores 0. (There the official code answers the word "empty", an oversight.)
    """
    score, spans = _best_spans(windows, start_logits, end_logits, data)
    firsts = np.searchsorted(windows.question, np.arange(len(questions)))
    # The sort is stable: of a question's windows the best score, among equals the first window.
    best = np.lexsort((-score, windows.question))[firsts]
    found = np.isfinite(score[best])
    characters = windows.offsets[windows.rows[best, None] + spans[best]]
    text = [
        question.context[span[0, 0] : span[1, 1]] if known else ""
        for question, span, known in zip(questions, characters, found, strict=True)
    ]
    if not data.unanswerable:
        return Answers(text, None)
    cls = windows.rows[:-1]
    silence = start_logits[cls].astype(np.float64) + end_logits[cls]
    return Answers(text, np.minimum.reduceat(silence, firsts) - np.where(found, score[best], 0))


def _best_spans(
    windows: Windows,
    start_logits: NDArray[np.float32],
    end_logits: NDArray[np.float32],
    data: request.Data,
) -> tuple[Floats, Integers]:
    """Return each window's best score (n,), -inf without candidates, and its two tokens (n, 2)."""
    score = np.empty(len(windows))
    spans = np.empty((len(windows), 2), np.int64)
    in_context, shown_best = _places(windows)
    for numbers in windows.by_length(_CHUNK):
        # (B, k) each, k = n_best: tokens of a window, their logits, whether they are allowed there.
        starts, start_scores = _highest(windows.padded(start_logits, numbers, -np.inf), data.n_best)
        ends, end_scores = _highest(windows.padded(end_logits, numbers, -np.inf), data.n_best)
        may_start = np.take_along_axis(windows.padded(shown_best, numbers, 0), starts, axis=1)
        may_end = np.take_along_axis(windows.padded(in_context, numbers, 0), ends, axis=1)
        # (B, k, k) each: every start with every end.
        length = ends[:, None, :] - starts[:, :, None] + 1
        fits = (length >= 1) & (length <= data.max_answer_length)
        candidate = may_start[:, :, None] & may_end[:, None, :] & fits
        sums = np.where(candidate, start_scores[:, :, None] + end_scores[:, None, :], -np.inf)
        # (B,) each: the place of the highest sum.
        line = np.arange(len(numbers))
        start, end = np.divmod(sums.reshape(len(numbers), -1).argmax(axis=1), ends.shape[1])
        score[numbers] = sums[line, start, end]
        spans[numbers, 0] = starts[line, start]
        spans[numbers, 1] = ends[line, end]
    return score, spans


def _highest(logits: NDArray[np.float32], count: int) -> tuple[Integers, Floats]:
    """Return each line's tokens with the highest logits, the first among equals, and the logits."""
    tokens = np.argsort(-logits, axis=1, kind="stable")[:, :count]
    return tokens, np.take_along_axis(logits, tokens, axis=1).astype(np.float64)


def _places(windows: Windows) -> tuple[Flags, Flags]:
    """Tell which tokens are context (t,), and which of these no other window shows better (t,).

    A window shows a token the better, the more context there is around it: the fewer of the tokens
    to its left and of those to its right, and 0.01 of the window's whole context on top. Among
    equals the first window is the best.
    """
    window = np.repeat(np.arange(len(windows)), windows.lengths())  # (t,), as all that follow
    position = np.arange(len(window)) - windows.rows[window]
    begin, end = windows.context[window].T
    in_context = (position >= begin) & (position < end)
    shown_best = in_context.copy()
    # Only tokens of questions with several windows can be shown by another one: compare those.
    has_several = np.bincount(windows.question)[windows.question] > 1  # (n,)
    compared = np.flatnonzero(in_context & has_several[window])
    window, position, begin, end = (a[compared] for a in (window, position, begin, end))
    left, right = position - begin, end - 1 - position
    around = np.minimum(left, right) + 0.01 * (end - begin)
    question, token = windows.question[window], windows.first[window] + left
    # Windows that show the same token of the same question stand together, the best one first.
    ranking = np.lexsort((-around, token, question))
    as_before = (np.diff(question[ranking]) == 0) & (np.diff(token[ranking]) == 0)
    shown_best[compared[ranking[1:][as_before]]] = False
    return in_context, shown_best
