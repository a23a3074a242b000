"""The key of prepared data: it changes whenever something changes that shaped them."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tokenizers
import transformers

from distillery_contract import codec
from distillery_contract import request as requests
from distillery_trainer import sealed
from distillery_trainer.data import dataset
from distillery_trainer.data.questions import SPLITS, splits
from distillery_trainer.preparation.models import MODEL, TOKENIZER


def of(shaped_by: Mapping[str, Any]) -> str:
    """Return the key of what :func:`shaped_by` returned: a hash of it."""
    text = json.dumps(shaped_by, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def shaped_by(request: requests.Request, folders: Mapping[str, Path]) -> dict[str, Any]:
    """Return everything that shapes the prepared windows and the teacher's logits.

    The search that Distillery comes from lost a day of 20 GPUs to a cache. The name of a file had
    model and length in it, but not the flag for unanswerable questions, the stride or the data, and
    one wrong file then fed every run. So the key takes contents, never paths or time stamps, and
    every setting, also those that may not matter.

    Args:
        request: names data and settings.
        folders: where its models lie, by ``teacher`` and ``student``.
    """
    places, given = {"name", *SPLITS, "test"}, splits(request.data)
    document: dict[str, Any] = {
        "format": sealed.FORMAT,
        "libraries": [transformers.__version__, tokenizers.__version__],
        "data": {k: v for k, v in codec.plain(request.data).items() if k not in places},
        **{split: dataset.fingerprint(request.data, split) for split in given},
    }
    for source, folder in folders.items():
        files = (*TOKENIZER, *(MODEL if source == "teacher" else ()))
        document[source] = {
            path.name: dataset.digest(path) for pattern in files for path in folder.glob(pattern)
        }
    return document
