"""Where an experiment's data and models are, and the key that names what is made of them.

``prepare`` calls it.
"""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import huggingface_hub
import tokenizers
import transformers

from distillery_contract import request as requests
from distillery_trainer import store
from distillery_trainer.data import loading
from distillery_trainer.data.loading import SPLITS, DataError

TOKENIZER: Final = ("tokenizer*.json", "vocab.txt", "special_tokens_map.json", "added_tokens.json")
MODEL: Final = ("config.json", "*.safetensors", "*.safetensors.index.json", "*.bin")


def named(request: requests.Request) -> dict[str, requests.Teacher | requests.Student]:
    """Return the models that a request names, as ``teacher`` and ``student``.

    Raises:
        DataError: it names none, so that there is no tokenizer either.
    """
    found: dict[str, requests.Teacher | requests.Student] = {}
    if request.teacher:
        found["teacher"] = request.teacher
    if request.student.model:
        found["student"] = request.student
    if not found:
        raise DataError(["teacher or student.model must be named, but both are absent"])
    return found


def folders(request: requests.Request) -> dict[str, Path]:
    """Return the folder of each named model, fetched from the hub where it is no local one.

    Raises:
        DataError: a model is neither here nor on a reachable hub.
    """
    found, faults = {}, []
    for source, model in named(request).items():
        try:
            # Of the student only the tokenizer shapes the windows; its weights can wait.
            files = (*TOKENIZER, *(MODEL if source == "teacher" else MODEL[:1]))
            found[source] = _folder(str(model.model), model.revision, files)
        except (OSError, ValueError) as error:
            faults.append(loading.unreachable(f"{source}.model", str(model.model), error))
    if faults:
        raise DataError(faults)
    return found


def key(request: requests.Request, folders: dict[str, Path]) -> str:
    """Return a hash of everything that shapes prepared features and teacher logits.

    The search that Distillery sets out from lost a day of 20 GPUs to a cache whose name had model
    and length in it, but neither the flag for unanswerable questions nor the stride nor the data:
    one wrong file then fed every run. So the key takes contents, never paths or time stamps, and
    every setting, even those of which it is doubtful whether they matter.
    """
    places = {"name", *SPLITS}
    document: dict[str, Any] = {
        "format": store.FORMAT,
        "libraries": [transformers.__version__, tokenizers.__version__],
        "data": {k: v for k, v in asdict(request.data).items() if k not in places},
        **{split: loading.fingerprint(request.data, split) for split in SPLITS},
    }
    for source, folder in folders.items():
        files = (*TOKENIZER, *(MODEL if source == "teacher" else ()))
        document[source] = {
            path.name: loading.digest(path) for pattern in files for path in folder.glob(pattern)
        }
    text = json.dumps(document, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _folder(model: str, revision: str | None, files: tuple[str, ...]) -> Path:
    if Path(model).is_dir():
        return Path(model)
    return Path(
        huggingface_hub.snapshot_download(model, revision=revision, allow_patterns=list(files))
    )
