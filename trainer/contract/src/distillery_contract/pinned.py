"""What is pinned for an experiment: where it is written, and how copies of models are named."""

import hashlib
import json
from collections.abc import Mapping
from typing import Final

FILE: Final = "pinned.json"
"""Lies in the folder of an experiment, which those of its trials lie in."""


def copy_name(digests: Mapping[str, str]) -> str:
    """Return the name of a model's copy in the cache: a digest of its files' digests."""
    text = json.dumps(dict(digests), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
