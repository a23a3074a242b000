"""Test questions as a share of the validation questions. ``dataset`` calls it.

Questions on one article help each other, so a share is made of whole articles. Which ones it is
follows from their titles alone, in whatever order they come.
"""

import hashlib
from collections import Counter

from distillery_trainer.data.faults import DataError
from distillery_trainer.data.questions import Records


def part(records: Records, share: float, test: bool, source: str) -> Records:
    """Return the raw questions that are set apart, or those that are left.

    Args:
        records: all of them.
        share: of them that is set apart at least.
        test: whether those that are set apart are wanted.
        source: their name, for a fault.

    Raises:
        DataError: no article would be left.
    """
    sizes = Counter(_article(row) for _, row in records)
    apart: set[str] = set()
    count = 0
    for article in sorted(sizes, key=_digest):
        if count >= share * len(records):
            break
        apart.add(article)
        count += sizes[article]
    if len(apart) == len(sizes):
        rule = "must have articles besides those that data.testShare sets apart"
        raise DataError([f"{source} {rule}, but a share of {share} takes all {len(sizes)}"])
    return [(where, row) for where, row in records if (_article(row) in apart) == test]


def _article(row: dict[str, object]) -> str:
    """Return what names the article of a question: its title, or else its context."""
    return str(row.get("title") or row.get("context"))


def _digest(article: str) -> str:
    return hashlib.sha256(article.encode()).hexdigest()
