"""What made a result: the trainer in its own words, and what it was asked for."""

from dataclasses import dataclass
from typing import Final

DIGEST: Final = "@"
"""Stands between the name of an image and the digest of its content."""


@dataclass(frozen=True)
class Trainer:
    """What a trainer says of itself; empty where it says nothing.

    Attributes:
        version, torch, transformers: releases of the trainer and of its libraries.
        device: that it trained on: the name of a GPU, or cpu.
    """

    version: str = ""
    torch: str = ""
    transformers: str = ""
    device: str = ""

    @property
    def releases(self) -> tuple[str, ...]:
        """The releases, in a fixed order; none where it says nothing of them."""
        found = (self.version, self.torch, self.transformers)
        return found if any(found) else ()

    def __str__(self) -> str:
        """Write the releases."""
        libraries = {"torch": self.torch, "transformers": self.transformers}
        known = ", ".join(f"{name} {release}" for name, release in libraries.items() if release)
        return f"trainer {self.version or '?'}" + (f" ({known})" if known else "")


SILENT: Final = Trainer()
"""A trainer that says nothing of itself."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """What made a result.

    Attributes:
        generation: of the spec that the attempt was started by; None where it is not known.
        request: digest of its request.
        prepared: key of the data and the teacher's logits that it learnt from.
        image: of its container, as ``name@digest``; empty on one machine.
        trainer: what it says of itself.
    """

    generation: int | None = None
    request: str = ""
    prepared: str = ""
    image: str = ""
    trainer: Trainer = SILENT

    @property
    def name(self) -> str:
        """The image as its pod named it, without the digest of its content."""
        return self.image.partition(DIGEST)[0]

    @property
    def digest(self) -> str:
        """The digest of the image's content; empty where it is not known."""
        return self.image.partition(DIGEST)[2]

    def __str__(self) -> str:
        """Write the trainer, as far as it is known."""
        if not self.trainer.releases:
            return self.image or "a trainer that does not say what it is"
        return f"{self.trainer}" + (f" in {self.image}" if self.image else "")


UNKNOWN: Final = Provenance()
"""What made something of which nobody knows what made it."""
