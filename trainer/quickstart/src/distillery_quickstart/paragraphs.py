"""Paragraphs that tell facts of two or three entities.

The entities share some attributes, so an answer needs both the entity and the attribute. Equal
entities and seeds give equal paragraphs. ``data_set`` calls it, ``questions`` asks about the texts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from distillery_quickstart.facts import Entity
from distillery_quickstart.wordings import WORDINGS

SHAPES: Final = ((2, 1), (2, 2), (1, 1, 1), (2, 1, 1))
"""How many facts a paragraph tells of each of its entities."""

ATTRIBUTES: Final = 3
"""Attributes that the facts of a paragraph are chosen from."""


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
    """A text and its facts.

    ``strangers`` are entities of the same domain and split that the text does not name.
    """

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


def write(domain: str, entities: Sequence[Entity], rng: Random) -> Paragraph:
    """Write a paragraph about entities of a domain that are chosen by chance."""
    shape = rng.choice(SHAPES)
    named = rng.sample(entities, len(shape))
    pool = rng.sample(list(WORDINGS[domain]), ATTRIBUTES)
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
