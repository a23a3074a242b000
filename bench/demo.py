"""The quickstart from nothing to a model: data, teacher, search, report, export, by `make demo`.

Prints what the commands print, where the time goes, and as its last line one JSON object. Run
again, it goes on where it ended; remove the workspace to begin anew.
"""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from ruamel.yaml import YAML
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

ROOT = Path(__file__).parent.parent
WORKSPACE = ROOT / ".demo"
EXPERIMENT = ROOT / "manifests" / "samples" / "quickstart.yaml"
RESULTS = WORKSPACE / "experiments" / "quickstart"


def main() -> None:
    """Run the phases one after the other and say how long each took."""
    seconds: dict[str, float] = {}
    timed(seconds, "data and teacher", lambda: quickstart(WORKSPACE))
    timed(seconds, "search and report", lambda: distillery("run", EXPERIMENT))
    status = YAML(typ="safe").load(RESULTS / "status.yaml")["status"]
    chosen = status.get("knee", status["front"][0]["trial"])
    folder = WORKSPACE / f"model-of-trial-{chosen}"
    shutil.rmtree(folder, ignore_errors=True)  # of an earlier run; an export overwrites nothing
    timed(seconds, "export", lambda: distillery("export", chosen, folder))
    timed(seconds, "use", lambda: use(folder))
    show_times(seconds)
    print(f"the report, to open in a browser: {RESULTS / 'report.html'}")
    print(json.dumps({"seconds": seconds, "front": summary(status), "trials": status["trials"]}))


def timed(seconds: dict[str, float], name: str, phase: Callable[[], None]) -> None:
    """Run a phase and note its wall time."""
    print(f"\n== {name}", flush=True)
    begun = time.monotonic()
    phase()
    seconds[name] = round(time.monotonic() - begun, 1)


def show_times(seconds: dict[str, float]) -> None:
    """Print how long each phase took."""
    print("\nwhere the time goes:")
    for name, spent in {**seconds, "in all": sum(seconds.values())}.items():
        print(f"  {name:28} {spent:7.1f} s")


def quickstart(folder: Path) -> None:
    """Write the quickstart's data and teacher into a folder."""
    module("distillery_quickstart", folder)


def module(name: str, *arguments: object) -> None:
    """Run a Python module as a person would; end with its exit code if it fails."""
    code = subprocess.run(
        [sys.executable, "-m", name, *map(str, arguments)], check=False
    ).returncode
    if code:
        sys.exit(code)


def distillery(*arguments: object) -> None:
    """Run the command in the demo's workspace."""
    module("distillery_operator", "--workspace", WORKSPACE, *arguments)


def use(folder: Path) -> None:
    """Load the exported model as any user of transformers does, and ask it some questions."""
    model = AutoModelForQuestionAnswering.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    document = json.loads((WORKSPACE / "validation.json").read_text(encoding="utf-8"))
    for article in document["data"][:2]:
        paragraph = article["paragraphs"][0]
        print(f"\n{paragraph['context']}")
        for question in paragraph["qas"][:4]:
            given = answer(model, tokenizer, question["question"], paragraph["context"])
            right = {gold["text"] for gold in question["answers"]} or {"(no answer)"}
            print(f"Q: {question['question']}\nA: {given}   right: {' or '.join(sorted(right))}")


def answer(model: Any, tokenizer: Any, question: str, context: str) -> str:
    """Return the piece of a short context that answers a question, as it stands there.

    The sum of its two logits is the highest, and higher than that of silence, which is [CLS].
    """
    encoded = tokenizer(question, context, return_tensors="pt", return_offsets_mapping=True)
    offsets = encoded.pop("offset_mapping")[0].tolist()
    with torch.inference_mode():
        found = model(**encoded)
    start, end = found.start_logits[0], found.end_logits[0]
    outside = torch.tensor([part != 1 for part in encoded.sequence_ids()])
    sums = start[:, None] + end
    backwards = torch.ones_like(sums, dtype=torch.bool).tril(-1)
    of_answers = sums.masked_fill(outside[:, None] | outside | backwards, -torch.inf)
    first, last = divmod(int(of_answers.argmax()), len(offsets))
    if sums[0, 0] > of_answers[first, last]:
        return "(no answer)"
    return context[offsets[first][0] : offsets[last][1]]


def summary(status: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the front's objectives, with the two halves of exact."""
    names = ("exact", "HasAns_exact", "NoAns_exact", "parameter_count")
    return [
        {"trial": point["trial"], **{name: point["metrics"][name] for name in names}}
        for point in status["front"]
    ]


if __name__ == "__main__":
    main()
