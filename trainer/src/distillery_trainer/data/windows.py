"""Questions cut into windows of tokens, in flat arrays that lie on disk and are memory-mapped.

A window is what a model reads at once: ``[CLS] query [SEP] part of the context [SEP]``. A context
that is longer than a window is cut into several that overlap. ``prepare`` makes and stores windows,
``batches`` puts batches together from them, ``answers`` finds answers in them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from distillery_contract import request
from distillery_trainer.data.questions import Question

SPECIAL_TOKENS: Final = 3
"""Tokens that a window has beside query and context: one [CLS], two [SEP]."""

_CHUNK: Final = 1024

T = TypeVar("T", bound=np.generic)

Tokens = tuple[NDArray[np.int32], NDArray[np.int32]]
"""A text's token ids (k,), and the characters [from, to) that each token covers (k, 2)."""


@dataclass(frozen=True)
class Windows:
    """All windows of a split, n in number, with t tokens in total, in the order of their questions.

    A window is named by its number, from 0 to n - 1. A flat array has a value for each token of all
    windows, one window after the other.

    Attributes:
        rows: (n + 1,) int64; the tokens of window i are [rows[i], rows[i + 1]) of the flat arrays.
        input_ids: (t,) int32, flat.
        context: (n, 2) int32; the context's first token in the window and one past its last.
        first: (n,) int32; which token of the whole context that first token is.
        span: (n, 2) int32; the answer's first and last token, or (0, 0), which is [CLS], if the
            answer is not in this window.
        question: (n,) int32; number of the question, never falling.
        offsets: (t, 2) int32, flat; the characters of the context that a token covers; (0, 0) for
            tokens outside the context.
    """

    rows: NDArray[np.int64]
    input_ids: NDArray[np.int32]
    context: NDArray[np.int32]
    first: NDArray[np.int32]
    span: NDArray[np.int32]
    question: NDArray[np.int32]
    offsets: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.rows) - 1

    def lengths(self) -> NDArray[np.int64]:
        """Return the number of tokens of each window, (n,)."""
        return np.diff(self.rows)

    def by_length(self, batch_size: int) -> list[list[int]]:
        """Return batches with each window once, the longest first: memory peaks at once."""
        numbers = np.argsort(-self.lengths(), kind="stable")
        return [numbers[i : i + batch_size].tolist() for i in range(0, len(numbers), batch_size)]

    def of_questions(self, numbers: Sequence[int]) -> "Windows":
        """Return the windows of some questions, which are counted anew from 0.

        Args:
            numbers: of the questions, ascending.
        """
        chosen = np.isin(self.question, numbers)
        tokens = np.repeat(chosen, self.lengths())
        return Windows(
            rows=np.concatenate([[0], np.cumsum(self.lengths()[chosen])]),
            input_ids=self.input_ids[tokens],
            context=self.context[chosen],
            first=self.first[chosen],
            span=self.span[chosen],
            question=np.searchsorted(numbers, self.question[chosen]).astype(np.int32),
            offsets=self.offsets[tokens],
        )

    def padded(
        self, flat: NDArray[T], numbers: Sequence[int], fill: float, width: int = 0
    ) -> NDArray[T]:
        """Return what a flat array has for B windows as (B, T), filled up to the right.

        T is the length of the longest window, or ``width`` if that is more.
        """
        parts = [flat[self.rows[number] : self.rows[number + 1]] for number in numbers]
        values = np.full((len(parts), max(width, *map(len, parts))), fill, flat.dtype)
        for line, part in zip(values, parts, strict=True):
            line[: len(part)] = part
        return values


def cut(
    questions: Sequence[Question], tokenizer: PreTrainedTokenizerBase, data: request.Data
) -> Windows:
    """Cut the context of every question into windows of at most ``data.max_length`` tokens.

    A query has at most ``max_query_length`` tokens; neighbouring windows share ``stride`` tokens of
    their context. The windows are those of a fast tokenizer with ``truncation="only_second"`` and
    overflow. But SQuAD asks six questions about a context, and here each distinct text is tokenised
    only once. The span is that of the first answer.
    """
    contexts = _tokenise((q.context for q in questions), tokenizer)
    queries = _tokenise((q.question for q in questions), tokenizer)
    cls, sep = (np.array([i], np.int32) for i in (tokenizer.cls_token_id, tokenizer.sep_token_id))
    nowhere = np.zeros((data.max_query_length + 2, 2), np.int32)
    ids, offsets, windows = [], [], []
    for index, question in enumerate(questions):
        query = queries[question.question][0][: data.max_query_length]
        tokens, characters = contexts[question.context]
        answer = _answer(question, characters)
        room, begin = data.max_length - len(query) - SPECIAL_TOKENS, len(query) + 2
        for first in _starts(len(tokens), room, data.stride):
            end = min(first + room, len(tokens))
            ids += [cls, query, sep, tokens[first:end], sep]
            offsets += [nowhere[:begin], characters[first:end], nowhere[:1]]
            span = (answer - first + begin) if first <= answer[0] and answer[1] < end else (0, 0)
            windows.append((begin, begin + end - first, first, *span, index))
    table = np.array(windows, np.int32).reshape(-1, 6)
    return Windows(
        rows=np.concatenate([[0], np.cumsum(table[:, 1] + 1, dtype=np.int64)]),
        input_ids=np.concatenate([np.zeros(0, np.int32), *ids]),
        context=table[:, 0:2].copy(),
        first=table[:, 2].copy(),
        span=table[:, 3:5].copy(),
        question=table[:, 5].copy(),
        offsets=np.concatenate([nowhere[:0], *offsets]),
    )


def lost(windows: Windows, questions: Sequence[Question]) -> list[int]:
    """Return the numbers of the answerable questions whose answer is in none of their windows."""
    found = np.zeros(len(questions), bool)
    found[windows.question[windows.span[:, 0] > 0]] = True
    return [i for i, q in enumerate(questions) if q.answers and not found[i]]


def save(windows: Windows, folder: Path) -> None:
    """Write one ``.npy`` file per array into a new folder."""
    folder.mkdir()
    for field in fields(windows):
        np.save(folder / f"{field.name}.npy", getattr(windows, field.name))


def load(folder: Path) -> Windows:
    """Map what :func:`save` wrote into memory, read-only."""
    return Windows(
        **{field.name: mapped(folder / f"{field.name}.npy") for field in fields(Windows)}
    )


def mapped(path: Path) -> NDArray[Any]:
    """Map a ``.npy`` file into memory, read-only, as a plain array: ``memmap`` slices slowly."""
    return np.asarray(np.load(path, mmap_mode="r"))


def _tokenise(texts: Iterable[str], tokenizer: Any) -> dict[str, Tokens]:
    distinct = list(dict.fromkeys(texts))
    found: dict[str, Tokens] = {}
    for i in range(0, len(distinct), _CHUNK):  # in chunks, for the lists take 30 times the arrays
        chunk = distinct[i : i + _CHUNK]
        encoded = tokenizer(
            chunk,
            add_special_tokens=False,
            return_offsets_mapping=True,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )
        for text, ids, offsets in zip(
            chunk, encoded["input_ids"], encoded["offset_mapping"], strict=True
        ):
            found[text] = np.array(ids, np.int32), np.array(offsets, np.int32).reshape(-1, 2)
    return found


def _starts(tokens: int, room: int, stride: int) -> range:
    """Return where windows begin: each has ``room`` tokens, and the last reaches the end."""
    return range(0, max(tokens - stride, 1), room - stride)


def _answer(question: Question, characters: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return the first and the last token that overlap the first answer; (-1, -1) if none do."""
    if question.answers:
        start = question.answers[0].start
        stop = start + len(question.answers[0].text)
        first = np.searchsorted(characters[:, 1], start, side="right")
        last = np.searchsorted(characters[:, 0], stop, side="left") - 1
        if first <= last:
            return np.array([first, last])
    return np.array([-1, -1])
