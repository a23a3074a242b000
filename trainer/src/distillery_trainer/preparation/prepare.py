"""The stages ``describe`` and ``prepare``: what all trials of an experiment share, made once.

One folder of the cache holds the checked questions as windows of tokens, the teacher's metrics, and
its logits on the training windows. Its name is a key over everything that shapes them.
"""

import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from distillery_contract import request as requests
from distillery_contract.parameters import Hyperparameters
from distillery_trainer import sealed
from distillery_trainer.data import checks, prepared, questions, windows
from distillery_trainer.data.faults import DataError
from distillery_trainer.data.prepared import Prepared
from distillery_trainer.data.questions import Question, splits
from distillery_trainer.preparation import cache_key, models, pinned, reading, teaching
from distillery_trainer.preparation.pinned import Pin, Pins
from distillery_trainer.reporting.telemetry import Telemetry
from distillery_trainer.students import families, sources
from distillery_trainer.students.families import SourceError

log = logging.getLogger(__name__)


def describe(request: requests.Request, telemetry: Telemetry) -> None:
    """Expose the dimensions of the models that students can start from, read from their configs.

    Raises:
        DataError: a config cannot be read, is of an unknown family, or is of no teacher.
    """
    faults: list[str] = []
    for source, named in models.named(request).items():
        try:
            config = sources.load_config(str(named.model), named.revision)
            telemetry.architecture(source, families.architecture(config))
            if source == "teacher":
                faults += checks.answer_head(config.architectures)
        except SourceError as error:
            faults.append(f"{source}.model: {error}")
    if faults:
        raise DataError(faults)


def prepare(request: requests.Request, telemetry: Telemetry) -> Prepared:
    """Pin the models, check the data, cut it into windows and run the teacher.

    What was done before is not done again. If the request names what a search was prepared with,
    the models are those that were pinned then.

    Raises:
        DataError: data, tokenizers or models cannot serve the experiment. Everything is checked
            before it is raised, except that a teacher is only run on data without faults.
    """
    pins = _pinned(request, telemetry)
    folders, folder = pins.folders(request.cache), Path(request.cache) / pins.prepared
    describe(pinned.applied(request, folders), telemetry)
    work = folder.with_name(f"{folder.name}.teacher")
    about = sealed.make(folder, lambda partial: _fill(partial, request, folders, work))
    teaching.clear(work)
    made = prepared.open_folder(request, folder)
    for split, counts in about["questions"].items():
        telemetry.questions(split, **counts)
    windows_ = {"train": len(made.train), "validation": len(made.validation)}
    for split, count in about.get("windows", windows_).items():
        telemetry.windows(split, count)
    for finding in about.get("findings", ()):  # earlier releases told none
        telemetry.finding(finding["split"], finding["kind"], finding["count"])
        telemetry.note(finding["sentence"])
    if request.data.interim_share is not None:
        some, every = len(made.interim().questions), len(made.questions)
        telemetry.note(
            f"evaluations before the end of a training are on {some} of the {every} validation"
            " questions (data.interim_share)"
        )
    telemetry.prepared(made.key)
    if request.teacher:
        telemetry.teacher(made.teacher_metrics)
        if faults := checks.floor(made.teacher_metrics, request.teacher.floor):
            raise DataError(faults)
    pinned.write(pins, request)
    return made


def _pinned(request: requests.Request, telemetry: Telemetry) -> Pins:
    """Return what the trials of an experiment shall read.

    Raises:
        DataError: a model cannot serve, or is another one than when the search was prepared.
    """
    before = pinned.read(request) if request.prepared else None
    if before and before.whole(request.cache):
        models_ = before.models
        for sentence in before.changes():
            telemetry.note(sentence)
    else:
        describe(request, telemetry)  # before anything is fetched
        models_ = _pinned_models(request, before)
    if before and request.prepared and sealed.about(Path(request.cache) / request.prepared):
        return Pins(request.prepared, before.data, models_)
    folders = {source: pinned.place(request.cache, pin) for source, pin in models_.items()}
    shaped_by = cache_key.shaped_by(request, folders)
    key = cache_key.of(shaped_by)
    if request.prepared and request.prepared != key:
        key = _earlier(request.prepared, request, telemetry)
    return Pins(key, {split: shaped_by[split] for split in splits(request.data)}, models_)


def _pinned_models(request: requests.Request, before: Pins | None) -> Mapping[str, Pin]:
    """Copy the models of a request, and check their weights.

    Raises:
        DataError: a model cannot serve, or is another one than before.
    """
    made = pinned.pin(request)
    if faults := pinned.differences(before, made):
        raise DataError(faults)
    folders = {source: pinned.place(request.cache, pin) for source, pin in made.items()}
    if faults := _unfit(made, folders):
        raise DataError(faults + _faults(request, folders))
    return made


def _earlier(key: str, request: requests.Request, telemetry: Telemetry) -> str:
    """Return the key of what a search was prepared with, though it would be another one today.

    Raises:
        DataError: it is gone, and cannot be made again.
    """
    changed = "data, models or libraries have changed since the search was prepared"
    if sealed.about(Path(request.cache) / key) is None:
        rule = "what a search was prepared with must be there, or be made again as it was"
        raise DataError([f"{rule}, but {changed}: give the experiment another name"])
    telemetry.note(f"{changed}; its windows and logits are those of then")
    return key


def _unfit(pins: Mapping[str, Pin], folders: Mapping[str, Path]) -> list[str]:
    """Return what is wrong with the weights of models; a student's shape may come without any."""
    faults = []
    for source, folder in folders.items():
        try:
            if source == "teacher":
                sources.load(str(folder))
            elif any(name.endswith((".safetensors", ".bin")) for name in pins[source].digests):
                sources.load_full_size(str(folder))
        except SourceError as error:
            named = str(error).replace(str(folder), pins[source].model)
            faults.append(f"{source}.model: {named}")
    return faults


def _faults(request: requests.Request, folders: Mapping[str, Path]) -> list[str]:
    """Return the faults of data and tokenizers."""
    try:
        reading.read(request.data, folders)
    except DataError as error:
        return error.faults
    return []


def open_prepared(request: requests.Request) -> Prepared:
    """Open what :func:`prepare` made: the folder that a request names, or else the pinned one.

    Raises:
        PreparedMissing: it is not there, or not whole.
    """
    key = request.prepared or pinned.of_trial(request).prepared
    return prepared.open_folder(request, Path(request.cache) / key)


def _fill(
    folder: Path, request: requests.Request, folders: Mapping[str, Path], work: Path
) -> dict[str, Any]:
    """Write everything of a :class:`Prepared` into a folder; return what its manifest tells.

    ``work`` is a folder for what shall outlive a process that is stopped.
    """
    made = reading.read(request.data, folders)
    for split, cut in made.windows.items():
        windows.save(cut, folder / split)
        log.info("%s: %d questions, %d windows", split, len(made.questions[split]), len(cut))
    questions.write(folder / "questions.json", made.questions["validation"])
    if "test" in made.questions:
        questions.write(folder / "test.json", made.questions["test"])
    made.tokenizer.save_pretrained(folder / "tokenizer")
    untaught = Prepared(
        key=folder.name,
        folder=folder,
        train=made.windows["train"],
        validation=made.windows["validation"],
        questions=made.questions["validation"],
        start=None,
        end=None,
        teacher_metrics={},
        data=request.data,
        tokenizer=folder / "tokenizer",
        pad=made.tokenizer.pad_token_id,
    )
    metrics: dict[str, float] = {}
    if "teacher" in folders:
        batch_size = Hyperparameters.of(request.parameters).per_device_eval_batch_size
        work = work / str(batch_size)
        metrics = teaching.teach(untaught, folders["teacher"], batch_size, work)
    return {
        "pad": untaught.pad,
        "questions": {split: _counts(members) for split, members in made.questions.items()},
        "windows": {split: len(cut) for split, cut in made.windows.items()},
        "findings": [asdict(finding) for finding in made.findings],
        "teacher_metrics": metrics,
    }


def _counts(questions: list[Question]) -> dict[str, int]:
    answerable = sum(bool(q.answers) for q in questions)
    return {"answerable": answerable, "unanswerable": len(questions) - answerable}
