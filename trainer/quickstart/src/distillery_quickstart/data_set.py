"""Paragraphs and questions as documents in SQuAD 2.0's format. ``build`` calls it."""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, Final

from distillery_quickstart import paragraphs, questions
from distillery_quickstart.facts import Entity
from distillery_quickstart.questions import Question

VALIDATION_SHARE: Final = 0.2


def make(
    domains: Mapping[str, Sequence[Entity]], sizes: Mapping[str, int], seed: int
) -> dict[str, Any]:
    """Return a SQuAD 2.0 document for each split, with one article per domain.

    Args:
        domains: entities by domain.
        sizes: number of paragraphs per article, by split: "train" and "validation".
        seed: of every choice by chance.
    """
    kept_back = validation_groups(domains, Random(seed))
    made = {}
    for split, number in sizes.items():
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
    written = []
    for index in range(number):
        paragraph = paragraphs.write(domain, entities, rng)
        asked = [
            {
                "id": f"{name}-{index:04d}-{place}",
                "question": question.text,
                "is_impossible": question.length == 0,
                "answers": _answers(paragraph.text, question),
            }
            for place, question in enumerate(questions.ask(paragraph, rng))
        ]
        written.append({"context": paragraph.text, "qas": asked})
    return {"title": name, "paragraphs": written}


def _answers(text: str, question: Question) -> list[dict[str, Any]]:
    if not question.length:
        return []
    return [
        {
            "text": text[question.start : question.start + question.length],
            "answer_start": question.start,
        }
    ]
