"""What a person should know of data that can serve: counts, shares and examples.

``prepare`` tells it all, and refuses data where a share exceeds its limit.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from distillery_contract import request
from distillery_trainer.data.faults import examples
from distillery_trainer.data.questions import Question, Split
from distillery_trainer.data.windows import Windows


@dataclass(frozen=True)
class Finding:
    """Something that was found in a split.

    Attributes:
        split: where.
        kind: one word of it, for metrics.
        count: how often.
        sentence: the same for people, with examples.
        fault: why the data are refused for it; empty where they are not.
    """

    split: str
    kind: str
    count: int
    sentence: str
    fault: str = ""


def find(
    splits: Mapping[Split, Sequence[Question]],
    cut: Mapping[Split, Windows],
    tokenizer: Any,
    data: request.Data,
) -> list[Finding]:
    """Return what was found in questions and in their windows."""
    found: list[Finding] = []
    for split, members in splits.items():
        found += _unknown(split, cut[split], members, tokenizer, data.max_unknown_percent)
        found += _long(split, cut[split], members, tokenizer, data)
        found += _cut(split, cut[split], members, tokenizer, data.max_query_length)
        found += _repeated(split, members)
    found += _shared("validation", ("train",), splits, data.max_shared_percent)
    if "test" in splits:
        found += _shared("test", ("train", "validation"), splits, data.max_shared_percent)
    return found


def _unknown(
    split: Split, windows: Windows, members: Sequence[Question], tokenizer: Any, most: float
) -> Iterator[Finding]:
    """Yield the tokens that stand for words which the tokenizer does not know."""
    places = np.flatnonzero(windows.input_ids == tokenizer.unk_token_id)
    if not len(places):
        return
    numbers = np.searchsorted(windows.rows, places, side="right") - 1
    spans = zip(windows.question[numbers], windows.offsets[places], strict=True)
    words = Counter(members[q].context[b:e] for q, (b, e) in spans if e > b)
    total = len(windows.input_ids)
    shown = ", ".join(repr(word) for word, _ in words.most_common(3)) or "in questions only"
    what = f"tokens are unknown to the tokenizer, most often {shown}"
    rule = ("the tokenizer must know the words of the text", "data.max_unknown_percent")
    yield _share(split, "unknown_tokens", (len(places), total), what, rule=rule, most=most)


def _long(
    split: Split,
    windows: Windows,
    members: Sequence[Question],
    tokenizer: Any,
    data: request.Data,
) -> Iterator[Finding]:
    """Yield the questions all of whose answers are longer than an answer may be."""
    lengths = windows.span[:, 1] - windows.span[:, 0] + 1
    candidates = np.unique(windows.question[lengths > data.max_answer_length])
    too_long = [
        members[q].id
        for q in candidates
        if all(_tokens(tokenizer, a.text) > data.max_answer_length for a in members[q].answers)
    ]
    what = f"questions have only answers of more than {data.max_answer_length} tokens"
    rule = ("a student must be able to give the answers", "data.max_long_answer_percent")
    most = data.max_long_answer_percent
    yield from _questions(split, "long_answers", too_long, members, what, rule=rule, most=most)


def _cut(
    split: Split, windows: Windows, members: Sequence[Question], tokenizer: Any, most: int
) -> Iterator[Finding]:
    """Yield the questions that are longer than what is read of a question."""
    full = np.unique(windows.question[windows.context[:, 0] - 2 == most])
    cut = [members[q].id for q in full if _tokens(tokenizer, members[q].question) > most]
    what = f"questions are cut to {most} tokens"
    yield from _questions(split, "cut_questions", cut, members, what)


def _repeated(split: Split, members: Sequence[Question]) -> Iterator[Finding]:
    """Yield the questions that stand there twice under two ids; one of them may have no answer."""
    seen: set[tuple[str, str]] = set()
    repeated = []
    for question in members:
        key = _key(question)
        repeated += [question.id] if key in seen else []
        seen.add(key)
    what = "questions stand there before, with the same context and another id"
    yield from _questions(split, "repeated_questions", repeated, members, what)


def _shared(
    split: Split, others: Sequence[Split], splits: Mapping[Split, Sequence[Question]], most: float
) -> Iterator[Finding]:
    """Yield the contexts and the questions that an earlier split has, too."""
    earlier = [question for other in others for question in splits[other]]
    members, where = splits[split], " or ".join(others)

    def common(key: Callable[[Question], object]) -> list[str]:
        known = {key(question) for question in earlier}
        return [question.id for question in members if key(question) in known]

    what = f"questions have a context that {where} has, too"
    yield from _questions(split, "shared_contexts", common(_context), members, what)
    what = f"questions stand with their context in {where}, too"
    rule = ("what is measured must not be learnt by heart", "data.max_shared_percent")
    shared = common(_key)
    yield from _questions(split, "shared_questions", shared, members, what, rule=rule, most=most)


def _questions(
    split: Split,
    kind: str,
    ids: Sequence[str],
    members: Sequence[Question],
    what: str,
    **limit: Any,
) -> Iterator[Finding]:
    if ids:
        shown = f"{what}: {examples([repr(name) for name in ids])}"
        yield _share(split, kind, (len(ids), len(members)), shown, **limit)


def _share(
    split: Split,
    kind: str,
    counts: tuple[int, int],
    what: str,
    *,
    rule: tuple[str, str] = ("", ""),
    most: float = 100.0,
) -> Finding:
    count, total = counts
    percent = 100 * count / total
    sentence = f"{split}: {count} of {total} ({percent:.3g} %) {what}"
    if percent <= most:
        return Finding(split, kind, count, sentence)
    reason, field = rule
    return Finding(split, kind, count, sentence, f"{reason}, {field} <= {most:g}, but {sentence}")


def _tokens(tokenizer: Any, text: str) -> int:
    return len(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])


def _context(question: Question) -> str:
    return " ".join(question.context.split()).lower()


def _key(question: Question) -> tuple[str, str]:
    return _context(question), " ".join(question.question.split()).lower()
