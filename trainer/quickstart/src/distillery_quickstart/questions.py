"""Questions on a paragraph, half of which it does not answer. ``data_set`` calls it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from distillery_quickstart.facts import Entity
from distillery_quickstart.paragraphs import Paragraph
from distillery_quickstart.wordings import WORDINGS


@dataclass(frozen=True)
class Question:
    """A question and the part of the paragraph that answers it; ``length`` 0 where none does."""

    text: str
    start: int = 0
    length: int = 0


def ask(paragraph: Paragraph, rng: Random) -> list[Question]:
    """Ask two questions with an answer and two without, each about something else, in any order."""
    asked: dict[str, Question] = {}
    for kinds in (ANSWERABLE, UNANSWERABLE):
        target = len(asked) + 2
        while len(asked) < target:
            kind = rng.choices(list(kinds), list(kinds.values()))[0]
            possible = [
                (key, question) for key, question in kind(paragraph, rng) if key not in asked
            ]
            if possible:
                key, question = rng.choice(possible)
                asked[key] = question
    questions = list(asked.values())
    rng.shuffle(questions)
    return questions


Candidates = list[tuple[str, Question]]
"""Questions that can be asked of a paragraph, each with a key of what it asks for."""


def _question(paragraph: Paragraph, entity: Entity, attribute: str, rng: Random) -> str:
    return rng.choice(WORDINGS[paragraph.domain][attribute].asked).format(e=entity.name)


def _reverse_question(paragraph: Paragraph, entity: Entity, attribute: str, rng: Random) -> str:
    return rng.choice(WORDINGS[paragraph.domain][attribute].reverse).format(
        v=entity.facts[attribute]
    )


def _told(paragraph: Paragraph, rng: Random) -> Candidates:
    """Ask for values that the text gives."""
    return [
        (
            f"{f.entity.name} {f.attribute}",
            Question(_question(paragraph, f.entity, f.attribute, rng), f.value_start, len(f.value)),
        )
        for f in paragraph.facts
    ]


def _told_back(paragraph: Paragraph, rng: Random) -> Candidates:
    """Ask which entity has a value, if the text gives it of one entity only and names that one."""
    given = [(fact.attribute, fact.value) for fact in paragraph.facts]
    return [
        (
            f"{f.attribute} {f.value}",
            Question(
                _reverse_question(paragraph, f.entity, f.attribute, rng),
                f.entity_start,
                len(f.entity.name),
            ),
        )
        for f in paragraph.facts
        if f.entity_start is not None and given.count((f.attribute, f.value)) == 1
    ]


def _elsewhere(paragraph: Paragraph, rng: Random) -> Candidates:
    """Ask for an attribute that the text gives of other entities, but not of this one."""
    return _untold(paragraph, paragraph.attributes(), rng)


def _absent(paragraph: Paragraph, rng: Random) -> Candidates:
    """Ask for an attribute that the text gives of no entity."""
    given = paragraph.attributes()
    return _untold(paragraph, [a for a in WORDINGS[paragraph.domain] if a not in given], rng)


def _untold(paragraph: Paragraph, attributes: Sequence[str], rng: Random) -> Candidates:
    return [
        (f"{entity.name} {attribute}", Question(_question(paragraph, entity, attribute, rng)))
        for entity in paragraph.entities()
        for attribute in attributes
        if not paragraph.tells(entity, attribute)
    ]


def _stranger(paragraph: Paragraph, rng: Random) -> Candidates:
    """Ask for an attribute of an entity that the text does not name; it gives it of others."""
    entity = rng.choice(paragraph.strangers)
    return [
        (f"{entity.name} {a}", Question(_question(paragraph, entity, a, rng)))
        for a in paragraph.attributes()
    ]


def _stranger_back(paragraph: Paragraph, rng: Random) -> Candidates:
    """Ask which entity has a value; the text gives other values of this attribute."""
    entity = rng.choice(paragraph.strangers)
    given = {(fact.attribute, fact.value) for fact in paragraph.facts}
    return [
        (
            f"{attribute} {entity.facts[attribute]}",
            Question(_reverse_question(paragraph, entity, attribute, rng)),
        )
        for attribute in paragraph.attributes()
        if attribute in entity.facts and (attribute, entity.facts[attribute]) not in given
    ]


Kind = Callable[[Paragraph, Random], Candidates]

ANSWERABLE: Final[Mapping[Kind, int]] = {_told: 3, _told_back: 1}
UNANSWERABLE: Final[Mapping[Kind, int]] = {
    _elsewhere: 4,
    _absent: 2,
    _stranger: 2,
    _stranger_back: 1,
}
"""Kinds of questions with the weights at which they are drawn."""
