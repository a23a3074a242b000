"""Every reason to refuse questions, tokenizers or a teacher: pure functions that return sentences.

``prepare`` calls them and raises all the sentences at once.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from distillery_contract import request
from distillery_trainer.data import windows
from distillery_trainer.data.faults import Broken, examples, fault
from distillery_trainer.data.questions import Answer, Question, Split
from distillery_trainer.data.windows import Windows

_CASED_PERCENT: Final = 1.0
"""Of an uncased vocabulary, special tokens aside; BERT's cased one has 40 %."""


def lengths(data: request.Data, positions: int) -> list[str]:
    """Return the faults of the settings; ``positions`` is how many tokens every model can take."""
    least = {"stride": 0, "max_query_length": 1, "max_answer_length": 1, "n_best": 1}
    found = [
        f"data.{name} >= {low} must hold, but got {getattr(data, name)}"
        for name, low in least.items()
        if getattr(data, name) < low
    ]
    if data.max_length > positions:
        found.append(
            f"data.max_length <= {positions} must hold, the positions of the models, "
            f"but got {data.max_length}"
        )
    if data.stride >= data.max_length - data.max_query_length - windows.SPECIAL_TOKENS:
        found.append(
            "data.stride < max_length - max_query_length - 3 must hold, or a window would not "
            f"advance, but got stride={data.stride}, max_length={data.max_length}, "
            f"max_query_length={data.max_query_length}"
        )
    return found


def questions(splits: Mapping[Split, Sequence[Question]], data: request.Data) -> list[str]:
    """Return what keeps splits as a whole from serving an experiment."""
    found = [
        f"{split}: {sentence}"
        for split, members in splits.items()
        for sentence in _split(members, data.unanswerable)
    ]
    seen = Counter(name for members in splits.values() for name in {q.id for q in members})
    shared = [repr(name) for name, count in seen.items() if count > 1]
    return found + fault("an id must not be in two splits", shared)


def _split(members: Sequence[Question], unanswerable: bool) -> list[str]:
    silent = sum(not q.answers for q in members)
    found = []
    if silent == len(members):
        found.append(f"some questions must have an answer, but none of {len(members)} has")
    if unanswerable and not silent:
        found.append(
            "some questions must have no answer, for data.unanswerable is true, "
            f"but all {len(members)} have one"
        )
    return found


def broken(members: Sequence[Question], unanswerable: bool) -> list[Broken]:
    """Return the rules that single questions of a split break."""
    silent: dict[int, str] = {}
    strays: dict[int, str] = {}
    repeated: dict[int, str] = {}
    known: set[str] = set()
    for number, q in enumerate(members):
        if not q.answers and not unanswerable:
            silent[number] = repr(q.id)
        if wrong := [a for a in q.answers if not _stands(a, q.context)]:
            shown = ", ".join(f"{answer.text!r} at {answer.start}" for answer in wrong)
            strays[number] = f"{q.id!r} ({shown})"
        if q.id in known:
            repeated[number] = repr(q.id)
        known.add(q.id)
    return [
        Broken("every question must have an answer, for data.unanswerable is false", silent),
        Broken("an answer must stand in its context at its answer_start", strays),
        Broken("ids must be unique", repeated),
    ]


def _stands(answer: Answer, context: str) -> bool:
    there = context[answer.start : answer.start + len(answer.text)] == answer.text
    return there and answer.start >= 0 and bool(answer.text.strip())


def lost(found: Windows, members: Sequence[Question]) -> Broken:
    """Return the questions whose answer stands in their context, but whole in no window."""
    rule = "an answer must lie in at least one window of its question"
    numbers = windows.lost(found, members)
    return Broken(rule, {n: f"{members[n].id!r} ({members[n].answers[0].text!r})" for n in numbers})


def dropped(split: Split, count: int, total: int, most: float) -> list[str]:
    """Return the fault of a split that would lose more of its questions than ``most`` percent."""
    if 100 * count <= most * total:
        return []
    rule = f"{split}: at most {most:g} % of the questions may be dropped (data.max_dropped_percent)"
    return [f"{rule}, but {count} of {total} break a rule"]


def tokenizer(found: Any, vocab_size: int, where: str) -> list[str]:
    """Return what keeps a tokenizer from cutting windows for a model of ``vocab_size``."""
    if not found.is_fast:
        return [f"{where}: the tokenizer must be a fast one, but got {type(found).__name__}"]
    faults = []
    missing = [n for n in ("cls", "sep", "pad") if getattr(found, f"{n}_token_id") is None]
    faults += fault(f"{where}: the tokenizer must have the tokens cls, sep and pad", missing)
    most = max(found.get_vocab().values())
    if most >= vocab_size:
        faults.append(
            f"{where}: token ids must be below the model's vocab_size, {vocab_size}, but got {most}"
        )
    return faults + _capitals(found, where)


def _capitals(found: Any, where: str) -> list[str]:
    """Return the fault of a tokenizer that lower-cases, so that it reaches no word with capitals.

    That is what a cased vocabulary gets whose files do not say ``do_lower_case``.
    """
    normalizer = found.backend_tokenizer.normalizer
    if normalizer is None or normalizer.normalize_str("A") != "a":
        return []
    words = found.get_vocab().keys() - {*found.all_special_tokens}
    cased = sorted(word for word in words if word != word.lower())
    if 100 * len(cased) <= _CASED_PERCENT * len(words):
        return []
    rule = f"{where}: a tokenizer that lower-cases must have a vocabulary without capitals"
    said = f"{rule}, but {len(cased)} of {len(words)} tokens have some: {examples(cased)}"
    return [f'{said}; if the model is cased, say "do_lower_case": false in tokenizer_config.json']


def same_tokenizers(teacher: Any, student: Any) -> list[str]:
    """Return how a student's tokenizer differs from the teacher's: in vocabulary or in rules."""
    ours, theirs = teacher.get_vocab(), student.get_vocab()
    differ = [
        f"{token!r} ({ours.get(token)} at the teacher, {theirs.get(token)} at the student)"
        for token in sorted({**ours, **theirs})
        if ours.get(token) != theirs.get(token)
    ]
    found = fault("student.model must have the teacher's vocabulary", differ)
    rules, others = _rules(teacher), _rules(student)
    differ = [f"{n} ({rules[n]}, {others[n]})" for n in rules if rules[n] != others[n]]
    return found + fault("student.model must have the teacher's rules of tokenisation", differ)


def _rules(tokenizer: Any) -> dict[str, Any]:
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    special = {n: getattr(tokenizer, f"{n}_token_id") for n in ("cls", "sep", "pad", "unk")}
    return {"normalizer": state["normalizer"], "pre_tokenizer": state["pre_tokenizer"], **special}


def answer_head(architectures: Sequence[str] | None) -> list[str]:
    """Return the fault of a teacher whose config says that it was never trained to answer.

    Its answer head would be random, and its logits noise.
    """
    if not architectures or any(name.endswith("ForQuestionAnswering") for name in architectures):
        return []
    rule = "teacher.model must have been trained to answer questions"
    return [f"{rule}, but its config names {', '.join(architectures)}"]


def floor(metrics: Mapping[str, float], least: Mapping[str, float]) -> list[str]:
    """Return where a teacher's metrics are below their floor, or not measured at all."""
    found = []
    for name, value in least.items():
        if name not in metrics:
            found.append(
                f"teacher.floor: {name} must be one of {', '.join(metrics)}, the metrics measured"
            )
        elif not metrics[name] >= value:
            found.append(
                f"teacher.floor: {name} >= {value:g} must hold, but the teacher has "
                f"{metrics[name]:.2f}; below its floor it teaches nothing"
            )
    return found
