"""SQuAD's evaluation and answer extraction as transformers 4.57.6 has them: the tests' oracle.

It runs in an environment of its own (see requirements.txt and the fixture ``oracle``), for newer
releases have neither. A JSON document comes in on standard input and goes out on standard output.
"""

import json
import pathlib
import sys
import tempfile
from typing import Any

import transformers
from transformers.data.metrics import squad_metrics  # type: ignore[import-not-found]
from transformers.data.processors import squad  # type: ignore[import-not-found]


def metrics(case: dict[str, Any]) -> dict[str, float]:
    """Return ``squad_evaluate`` of texts and margins, which lie in the order of the golds."""
    examples = [
        squad.SquadExample(str(i), "", "", None, None, "", [{"text": gold} for gold in golds])
        for i, golds in enumerate(case["golds"])
    ]
    texts = {str(i): text for i, text in enumerate(case["texts"])}
    margins = {str(i): margin for i, margin in enumerate(case["margins"])}
    found: dict[str, float] = squad_metrics.squad_evaluate(
        examples, texts, margins, case["threshold"]
    )
    return found


def answers(case: dict[str, Any]) -> dict[str, Any]:
    """Return what ``compute_predictions_logits`` makes of logits on its own windows.

    A question has id, text, context, ``advance`` (tokens from one window to the next), and the
    logits of each window, ``start`` and ``end``.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "vocab.txt").write_text("\n".join(case["vocabulary"]), encoding="utf-8")
        tokenizer = transformers.BertTokenizer(str(folder / "vocab.txt"), do_lower_case=True)
        squad.squad_convert_example_to_features_init(tokenizer)
        examples, results, tokens = [], [], []
        features: list[Any] = []
        for index, question in enumerate(case["questions"]):
            example = squad.SquadExample(
                question["id"], question["text"], question["context"], None, None, "", []
            )
            examples.append(example)
            windows = squad.squad_convert_example_to_features(
                example,
                case["max_length"],
                question["advance"],
                case["max_query_length"],
                "do_not_pad",
                False,
            )
            tokens.append([window.tokens for window in windows])
            logits = zip(question["start"], question["end"], strict=True)
            for window, (start, end) in zip(windows, logits, strict=True):
                window.example_index, window.unique_id = index, len(features)
                features.append(window)
                results.append(squad.SquadResult(window.unique_id, start, end))
        files = [str(folder / f"{name}.json") for name in ("predictions", "nbest", "odds")]
        given = squad_metrics.compute_predictions_logits(
            examples,
            features,
            results,
            case["n_best"],
            case["max_answer_length"],
            True,
            *files,
            False,
            case["unanswerable"],
            case["threshold"],
            tokenizer,
        )
        nbest, margins = (
            json.loads(pathlib.Path(file).read_text("utf-8")) if pathlib.Path(file).exists() else {}
            for file in files[1:]
        )
    best = {name: next(e["text"] for e in entries if e["text"]) for name, entries in nbest.items()}
    return {"tokens": tokens, "given": given, "best": best, "margins": margins}


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    json.dump(
        {
            "metrics": [metrics(case) for case in asked.get("metrics", [])],
            "answers": [answers(case) for case in asked.get("answers", [])],
        },
        sys.stdout,
    )
