"""Data and tokenizers, read and checked, and the questions cut into windows. ``prepare`` calls it.

All faults are told at once. With ``FaultPolicy.DROP`` questions that cannot serve are left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import transformers

from distillery_contract import request as requests
from distillery_contract.request import FaultPolicy
from distillery_trainer.data import checks, dataset, findings, windows
from distillery_trainer.data.faults import Broken, DataError
from distillery_trainer.data.findings import Finding
from distillery_trainer.data.questions import Question, Read, Split, splits
from distillery_trainer.data.windows import Windows
from distillery_trainer.students import sources


@dataclass(frozen=True)
class Made:
    """Questions that can serve, their windows, the tokenizer, and what was found."""

    questions: dict[Split, list[Question]]
    windows: dict[Split, Windows]
    tokenizer: Any
    findings: list[Finding]


def read(data: requests.Data, folders: Mapping[str, Path]) -> Made:
    """Read, check and cut the questions of all splits.

    Args:
        data: where the questions are, and the settings.
        folders: of the models, whose tokenizers they have to fit.

    Raises:
        DataError: every fault of questions, settings and tokenizers.
    """
    sources_, faults = _read(data), list[str]()
    tokenizers, unfit = _tokenizers(folders)
    positions = [sources.load_config(str(f)).max_position_embeddings for f in folders.values()]
    unfit += checks.lengths(data, min(positions))
    # The teacher's, if any: they are the same.
    tokenizer = None if unfit else next(iter(tokenizers.values()))
    made = Made({}, {}, tokenizer, [])
    for split, found in sources_.items():
        sound, broken = _sound(found, data)
        if tokenizer is not None:
            made.windows[split] = windows.cut(sound, tokenizer, data)
            lost = checks.lost(made.windows[split], sound)
            if lost.questions:
                broken.append(lost)
                sound = _without(sound, lost.questions)
                made.windows[split] = windows.cut(sound, tokenizer, data)
        # Refused questions count for the rules of a whole split: one fault shall not make others.
        made.questions[split] = sound if data.faults == FaultPolicy.DROP else found.questions
        faults += _judged(split, found, len(sound), broken, data, made.findings)
    faults += checks.questions(made.questions, data)
    if not unfit and not faults:
        made.findings.extend(findings.find(made.questions, made.windows, tokenizer, data))
        faults += [finding.fault for finding in made.findings if finding.fault]
    if unfit or faults:
        raise DataError(list(dict.fromkeys(faults + unfit)))
    return made


def _read(data: requests.Data) -> dict[Split, Read]:
    """Return the questions of all splits.

    Raises:
        DataError: every fault of those that cannot be read.
    """
    found: dict[Split, Read] = {}
    faults = []
    for split in splits(data):
        try:
            found[split] = dataset.load(data, split)
        except DataError as error:
            faults += error.faults
    if faults:
        raise DataError(list(dict.fromkeys(faults)))
    return found


def _sound(found: Read, data: requests.Data) -> tuple[list[Question], list[Broken]]:
    """Return the questions that break no rule of their own, and the rules that others break."""
    broken = [b for b in checks.broken(found.questions, data.unanswerable) if b.questions]
    wrong = {number for rule in broken for number in rule.questions}
    return _without(found.questions, wrong), broken


def _without(members: Sequence[Question], numbers: Any) -> list[Question]:
    return [question for number, question in enumerate(members) if number not in numbers]


def _judged(
    split: Split,
    found: Read,
    sound: int,
    broken: Sequence[Broken],
    data: requests.Data,
    told: list[Finding],
) -> list[str]:
    """Return the faults of a split's questions; note those that are dropped instead.

    Args:
        split: its name.
        found: what its source has.
        sound: number of its questions that break no rule.
        broken: rules that others break, beside those of the format.
        data: the policy.
        told: gets the note.
    """
    sentences = [s for rule in found.broken for s in rule.sentences()]
    sentences += [f"{split}: {s}" for rule in broken for s in rule.sentences()]
    if not sentences or data.faults == FaultPolicy.REFUSE:
        return sentences
    total = len(found.questions) + sum(len(rule.questions) for rule in found.broken)
    dropped = total - sound
    if faults := checks.dropped(split, dropped, total, data.max_dropped_percent):
        return faults + sentences
    said = f"{split}: {dropped} of {total} questions are dropped: {'; '.join(sentences)}"
    told.append(Finding(split, "dropped", dropped, said))
    return []


def _tokenizers(folders: Mapping[str, Path]) -> tuple[dict[str, Any], list[str]]:
    """Return the tokenizers of the models, and what keeps them from cutting windows for both."""
    found, faults = {}, []
    for source, folder in folders.items():
        try:
            found[source] = transformers.AutoTokenizer.from_pretrained(folder)
        except (OSError, ValueError) as error:
            faults.append(f"{source}.model must have a tokenizer, but reading {folder}: {error}")
            continue
        config = sources.load_config(str(folder))
        faults += checks.tokenizer(found[source], config.vocab_size, source)
    if not faults and len(found) == 2:
        faults += checks.same_tokenizers(found["teacher"], found["student"])
    return found, faults
