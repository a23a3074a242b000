"""The stages ``describe`` and ``prepare``: what all trials of an experiment share, made once.

Checked questions as windows of tokens, the teacher's metrics, and its logits on the training
windows lie in one folder of the cache, named by a key over everything that shapes them.
"""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from distillery_contract import parameters
from distillery_contract import request as requests
from distillery_trainer import store
from distillery_trainer.data import checks, features, loading
from distillery_trainer.data.features import Features
from distillery_trainer.data.loading import SPLITS, DataError, Question, Split
from distillery_trainer.data.prepared import Prepared, open_folder, write_questions
from distillery_trainer.evaluation import evaluate
from distillery_trainer.preparation import sources
from distillery_trainer.reporting.telemetry import Telemetry
from distillery_trainer.students import model

log = logging.getLogger(__name__)


def describe(request: requests.Request, telemetry: Telemetry) -> None:
    """Expose the dimensions of the models that students can start from, read from their configs.

    Raises:
        DataError: a config cannot be read, is of an unknown family, or is of no teacher.
    """
    faults: list[str] = []
    for source, named in sources.named(request).items():
        try:
            config = model.load_config(str(named.model), named.revision)
            telemetry.architecture(source, model.architecture(config))
            if source == "teacher":
                faults += checks.answer_head(config.architectures)
        except model.SourceError as error:
            faults.append(f"{source}.model: {error}")
    if faults:
        raise DataError(faults)


def prepare(request: requests.Request, telemetry: Telemetry) -> Prepared:
    """Check the data, cut it into windows and run the teacher, unless all that was done before.

    Raises:
        DataError: data, tokenizers or teacher cannot serve the experiment. Everything is checked
            before it is raised, except that a teacher is only run on data without faults.
    """
    describe(request, telemetry)
    folders = sources.folders(request)
    folder = Path(request.cache) / sources.key(request, folders)
    about = store.make(folder, lambda partial: _fill(partial, request, folders))
    prepared = open_folder(request, folder)
    for split, counts in about["questions"].items():
        telemetry.questions(split, **counts)
    telemetry.features("train", len(prepared.train))
    telemetry.features("validation", len(prepared.validation))
    telemetry.prepared(prepared.key)
    if request.teacher:
        telemetry.teacher(prepared.teacher_metrics)
        if faults := checks.floor(prepared.teacher_metrics, request.teacher.floor):
            raise DataError(faults)
    return prepared


def open_prepared(request: requests.Request) -> Prepared:
    """Open what :func:`prepare` made: the folder that a request names, or else that of its key.

    Raises:
        PreparedMissing: it is not there, or not whole.
        DataError: what the key is made of cannot be read.
    """
    return open_folder(request, Path(request.cache) / (request.prepared or key(request)))


def key(request: requests.Request) -> str:
    """Return the name of a request's prepared folder; see :func:`sources.key`.

    Raises:
        DataError: data or models cannot be read.
    """
    return sources.key(request, sources.folders(request))


def _fill(folder: Path, request: requests.Request, folders: dict[str, Path]) -> dict[str, Any]:
    """Write everything of a :class:`Prepared` into a folder; return what its manifest tells."""
    questions = _load(request.data)
    tokenizer, windows = _windows(questions, request.data, folders)
    for split, made in windows.items():
        features.save(made, folder / split)
        log.info("%s: %d questions, %d windows", split, len(questions[split]), len(made))
    write_questions(folder / "questions.json", questions["validation"])
    tokenizer.save_pretrained(folder / "tokenizer")
    prepared = Prepared(
        key=folder.name,
        folder=folder,
        train=windows["train"],
        validation=windows["validation"],
        questions=questions["validation"],
        start=None,
        end=None,
        teacher_metrics={},
        data=request.data,
        tokenizer=folder / "tokenizer",
        pad=tokenizer.pad_token_id,
    )
    if "teacher" in folders:
        batch_size = parameters.resolve(request.parameters)["per_device_eval_batch_size"]
        assert isinstance(batch_size, int)
        prepared = replace(
            prepared, teacher_metrics=_run_teacher(prepared, folders["teacher"], batch_size)
        )
    return {
        "pad": prepared.pad,
        "questions": {split: _counts(members) for split, members in questions.items()},
        "teacher_metrics": prepared.teacher_metrics,
    }


def _load(settings: requests.Data) -> dict[Split, list[Question]]:
    questions: dict[Split, list[Question]] = {}
    faults = []
    for split in SPLITS:
        try:
            questions[split] = loading.load(settings, split)
        except DataError as error:
            faults += error.faults
    if faults:
        raise DataError(list(dict.fromkeys(faults)))
    return questions


def _windows(
    questions: dict[Split, list[Question]], settings: requests.Data, folders: dict[str, Path]
) -> tuple[Any, dict[Split, Features]]:
    """Return the tokenizer and the windows of both splits.

    Raises:
        DataError: every fault of questions, settings and tokenizers.
    """
    faults = checks.questions(questions, settings)
    found, unfit = _tokenizers(folders)
    positions = [model.load_config(str(f)).max_position_embeddings for f in folders.values()]
    unfit += checks.lengths(settings, min(positions))
    windows: dict[Split, Features] = {}
    if not unfit:
        tokenizer = next(iter(found.values()))  # the teacher's if there is one: they are the same
        for split, members in questions.items():
            windows[split] = features.featurise(members, tokenizer, settings)
            lost = features.lost(windows[split], members)
            faults += checks.lost(split, lost)
    if unfit or faults:
        raise DataError(faults + unfit)
    return tokenizer, windows


def _tokenizers(folders: dict[str, Path]) -> tuple[dict[str, Any], list[str]]:
    """Return the tokenizers of the models, and what keeps them from cutting windows for both."""
    found, faults = {}, []
    for source, folder in folders.items():
        try:
            found[source] = transformers.AutoTokenizer.from_pretrained(folder)
        except (OSError, ValueError) as error:
            faults.append(f"{source}.model must have a tokenizer, but reading {folder}: {error}")
            continue
        config = model.load_config(str(folder))
        faults += checks.tokenizer(found[source], config.vocab_size, source)
    if not faults and len(found) == 2:
        faults += checks.same_tokenizers(found["teacher"], found["student"])
    return found, faults


def _run_teacher(prepared: Prepared, teacher: Path, batch_size: int) -> dict[str, float]:
    """Store the teacher's logits on the training windows; return its metrics on validation.

    Raises:
        DataError: logits that half precision does not hold.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    reader: torch.nn.Module = model.load_source(str(teacher))
    reader.to(device)
    metrics = evaluate.evaluate(reader, prepared, batch_size, device)
    log.info("teacher: %s", ", ".join(f"{k} {v:.6g}" for k, v in metrics.items()))
    logits = evaluate.logits(reader, prepared.train, batch_size, prepared.pad, device)
    most = float(np.finfo(np.float16).max)
    for name, values in zip(("start", "end"), logits, strict=True):
        if beyond := np.count_nonzero(~(np.abs(values) <= most)):  # NaN is beyond, too
            rule = f"the teacher's logits must lie within ±{most:g}, as half precision can hold"
            raise DataError([f"{rule}, but {beyond} of its {name} logits do not"])
        np.save(prepared.folder / f"{name}.npy", values.astype(np.float16))
    return metrics


def _counts(questions: list[Question]) -> dict[str, int]:
    answerable = sum(bool(q.answers) for q in questions)
    return {"answerable": answerable, "unanswerable": len(questions) - answerable}
