"""Why data or models cannot serve an experiment, in sentences that say the rule and the value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

_SHOWN: Final = 3
"""How many of the values that break a rule a sentence shows."""


class DataError(Exception):
    """Data or teacher cannot serve the experiment; ``faults`` has every reason found."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


@dataclass(frozen=True)
class Broken:
    """A rule, and the questions that break it.

    Attributes:
        rule: the beginning of a sentence.
        questions: what is shown of each, by its number in the source or the split.
    """

    rule: str
    questions: Mapping[int, str]

    def sentences(self) -> list[str]:
        """Return the sentence on the rule; none if no question breaks it."""
        return fault(self.rule, list(self.questions.values()))


def fault(rule: str, broken: Sequence[str]) -> list[str]:
    """Return the sentence on a rule: how many values broke it, and the first of them.

    The list is empty if none did.
    """
    if not broken:
        return []
    return [f"{rule}, but {len(broken)} broke this: {examples(broken)}"]


def examples(values: Sequence[str]) -> str:
    """Return the first of some values."""
    return ", ".join(values[:_SHOWN]) + (", …" if len(values) > _SHOWN else "")


def unreachable(field: str, name: str, error: Exception) -> str:
    """Return the sentence on a name that is neither on this machine nor on a reachable hub."""
    why = (str(error).strip() or type(error).__name__).splitlines()[0]
    return (
        f"{field} must be local or a name that a reachable hub or its local cache has, "
        f"but {name!r} cannot be loaded: {why}; without a network, give local files: "
        "data.train and data.validation, or a model's folder"
    )
