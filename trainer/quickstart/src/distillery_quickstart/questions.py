"""Paragraphs of facts and questions on them, half of these unanswerable, in SQuAD 2.0's format.

Called by :mod:`distillery_quickstart.build`. A paragraph tells facts of two or three
entities that share some attributes, so that an answer needs both the entity and the attribute.
Equal entities and seeds give equal documents.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from distillery_quickstart.facts import Entity
from distillery_quickstart.wordings import WORDINGS

SHAPES: Final = ((2, 1), (2, 2), (1, 1, 1), (2, 1, 1))
"""How many facts a paragraph tells of each of its entities."""

ATTRIBUTES_PER_PARAGRAPH: Final = 3
VALIDATION_SHARE: Final = 0.2


@dataclass(frozen=True)
class Fact:
    """A fact as a paragraph tells it.

    ``value_start`` and ``entity_start`` are characters; the latter is None where "it" stands.
    """

    entity: Entity
    attribute: str
    value_start: int
    entity_start: int | None

    @property
    def value(self) -> str:
        """The value, as it stands at ``value_start``."""
        return self.entity.facts[self.attribute]


@dataclass(frozen=True)
class Paragraph:
    """A text, its facts, and entities of the same domain and split that it does not name."""

    domain: str
    text: str
    facts: tuple[Fact, ...]
    strangers: tuple[Entity, ...]

    def tells(self, entity: Entity, attribute: str) -> bool:
        """Return whether the text gives this attribute of this entity."""
        return any(fact.entity == entity and fact.attribute == attribute for fact in self.facts)

    def entities(self) -> list[Entity]:
        """Return the entities of the text in the order in which it names them."""
        return list({fact.entity.name: fact.entity for fact in self.facts}.values())

    def attributes(self) -> list[str]:
        """Return the attributes that the text gives of any entity."""
        return list(dict.fromkeys(fact.attribute for fact in self.facts))


@dataclass(frozen=True)
class Question:
    """A question and the part of the paragraph that answers it; ``length`` 0 where none does."""

    text: str
    start: int = 0
    length: int = 0


def documents(
    domains: Mapping[str, Sequence[Entity]], paragraphs: Mapping[str, int], seed: int
) -> dict[str, Any]:
    """Return a SQuAD 2.0 document for each split, with one article per domain.

    Args:
        domains: entities by domain.
        paragraphs: number of paragraphs per article, by split: "train" and "validation".
        seed: of every choice that is made.
    """
    kept_back = validation_groups(domains, Random(seed))
    made = {}
    for split, number in paragraphs.items():
        articles = []
        for domain, entities in domains.items():
            pool = [
                entity
                for entity in entities
                if (entity.group in kept_back) == (split == "validation")
            ]
            articles.append(
                _article(
                    f"{split}-{domain}", domain, pool, number, Random(f"{seed} {split} {domain}")
                )
            )
        made[split] = {"version": "v2.0", "data": articles}
    return made


def validation_groups(domains: Mapping[str, Sequence[Entity]], rng: Random) -> frozenset[str]:
    """Choose the groups of entities that only validation has, the same share of each domain."""
    chosen: set[str] = set()
    assigned: set[str] = set()
    for entities in domains.values():
        groups = [
            group
            for group in dict.fromkeys(entity.group for entity in entities)
            if group not in assigned
        ]
        assigned.update(groups)
        chosen.update(rng.sample(groups, round(len(groups) * VALIDATION_SHARE)))
    return frozenset(chosen)


def _article(
    name: str, domain: str, entities: Sequence[Entity], number: int, rng: Random
) -> dict[str, Any]:
    paragraphs = []
    for index in range(number):
        paragraph = _paragraph(domain, entities, rng)
        asked = [
            {
                "id": f"{name}-{index:04d}-{place}",
                "question": question.text,
                "is_impossible": question.length == 0,
                "answers": _answers(paragraph.text, question),
            }
            for place, question in enumerate(_questions(paragraph, rng))
        ]
        paragraphs.append({"context": paragraph.text, "qas": asked})
    return {"title": name, "paragraphs": paragraphs}


def _answers(text: str, question: Question) -> list[dict[str, Any]]:
    if not question.length:
        return []
    return [
        {
            "text": text[question.start : question.start + question.length],
            "answer_start": question.start,
        }
    ]


def _paragraph(domain: str, entities: Sequence[Entity], rng: Random) -> Paragraph:
    shape = rng.choice(SHAPES)
    named = rng.sample(entities, len(shape))
    pool = rng.sample(list(WORDINGS[domain]), ATTRIBUTES_PER_PARAGRAPH)
    text, facts = "", []
    for entity, number in zip(named, shape, strict=True):
        known = [attribute for attribute in pool if attribute in entity.facts]
        for place, attribute in enumerate(rng.sample(known, number)):
            text += " " if text else ""
            wording = WORDINGS[domain][attribute]
            sentence = rng.choice(wording.follow_up if place else wording.told)
            fact, sentence = _tell(sentence, entity, attribute, len(text))
            facts.append(fact)
            text += sentence
    strangers = tuple(entity for entity in entities if entity not in named)
    return Paragraph(domain, text, tuple(facts), strangers)


def _tell(template: str, entity: Entity, attribute: str, offset: int) -> tuple[Fact, str]:
    """Fill in a sentence that will start at ``offset``, and note where value and entity stand."""
    value = entity.facts[attribute]
    starts = {}
    sentence = ""
    for part in template.replace("{", "\0{").replace("}", "}\0").split("\0"):
        if part in ("{e}", "{v}"):
            starts[part] = offset + len(sentence)
        sentence += {"{e}": entity.name, "{v}": value}.get(part, part)
    return Fact(entity, attribute, starts["{v}"], starts.get("{e}")), sentence[
        0
    ].upper() + sentence[1:]


def _questions(paragraph: Paragraph, rng: Random) -> list[Question]:
    """Ask two questions with and two without an answer, each about something else, in any order."""
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


def _ask(paragraph: Paragraph, entity: Entity, attribute: str, rng: Random) -> str:
    return rng.choice(WORDINGS[paragraph.domain][attribute].asked).format(e=entity.name)


def _ask_back(paragraph: Paragraph, entity: Entity, attribute: str, rng: Random) -> str:
    return rng.choice(WORDINGS[paragraph.domain][attribute].reverse).format(
        v=entity.facts[attribute]
    )


def _told(paragraph: Paragraph, rng: Random) -> Candidates:
    """Ask for values that the text gives."""
    return [
        (
            f"{f.entity.name} {f.attribute}",
            Question(_ask(paragraph, f.entity, f.attribute, rng), f.value_start, len(f.value)),
        )
        for f in paragraph.facts
    ]


def _told_back(paragraph: Paragraph, rng: Random) -> Candidates:
    """Ask which entity has a value, where the text gives it of one only and names that there."""
    given = [(fact.attribute, fact.value) for fact in paragraph.facts]
    return [
        (
            f"{f.attribute} {f.value}",
            Question(
                _ask_back(paragraph, f.entity, f.attribute, rng), f.entity_start, len(f.entity.name)
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
        (f"{entity.name} {attribute}", Question(_ask(paragraph, entity, attribute, rng)))
        for entity in paragraph.entities()
        for attribute in attributes
        if not paragraph.tells(entity, attribute)
    ]


def _stranger(paragraph: Paragraph, rng: Random) -> Candidates:
    """Ask an attribute that the text gives of an entity that it does not name."""
    entity = rng.choice(paragraph.strangers)
    return [
        (f"{entity.name} {a}", Question(_ask(paragraph, entity, a, rng)))
        for a in paragraph.attributes()
    ]


def _stranger_back(paragraph: Paragraph, rng: Random) -> Candidates:
    """Ask which entity has a value that the text does not give, of an attribute that it gives."""
    entity = rng.choice(paragraph.strangers)
    given = {(fact.attribute, fact.value) for fact in paragraph.facts}
    return [
        (
            f"{attribute} {entity.facts[attribute]}",
            Question(_ask_back(paragraph, entity, attribute, rng)),
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
