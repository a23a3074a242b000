"""Models: reading teachers and other sources, building students from them, saving and loading.

``prepare`` reads sources, ``train`` builds and saves students.

A saved student is one folder for three readers. Its weights have the source's shapes, with zeros
where heads were pruned, so that plain ``AutoModelForQuestionAnswering.from_pretrained`` gives the
same answers, at the unpruned size; :func:`load` prunes again by the map in ``config.json``, and
``from_pretrained(folder, trust_remote_code=True)`` does the same without Distillery, by the copy of
:mod:`distillery_trainer.students.heads` in the folder. A compact file would spare the zeros on
disk, but plain transformers refuses it: its configs have no word for the narrower matrices.
"""

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import safetensors.torch
import torch
import transformers
from torch import Tensor, nn
from transformers import (
    BertForQuestionAnswering,
    DistilBertForQuestionAnswering,
    PreTrainedConfig,
    PreTrainedModel,
)

from distillery_contract import request as requests
from distillery_contract import size
from distillery_contract.parameters import Initialization, LayerSelection
from distillery_trainer.hyperparameters import Settings
from distillery_trainer.students import dropout, heads


class SourceError(Exception):
    """A teacher or a student's source cannot be read, or is of no known family."""


class InfeasibleError(ValueError):
    """The hyperparameters describe no student of this source."""


_FIELDS: Final = {
    "bert": {
        "n_layers": "num_hidden_layers",
        "hidden_size": "hidden_size",
        "intermediate_size": "intermediate_size",
        "dropout": "hidden_dropout_prob",
        "attention_dropout": "attention_probs_dropout_prob",
    },
    "distilbert": {
        "n_layers": "n_layers",
        "hidden_size": "dim",
        "intermediate_size": "hidden_dim",
        "dropout": "dropout",
        "attention_dropout": "attention_dropout",
        "qa_dropout": "qa_dropout",
    },
}
"""What the families call the dimensions and dropouts of a student."""

_CLASSES: Final[Mapping[str, Any]] = {
    "bert": BertForQuestionAnswering,
    "distilbert": DistilBertForQuestionAnswering,
}


def load_config(model: str, revision: str | None = None) -> PreTrainedConfig:
    """Read a configuration from a folder or the hub.

    Raises:
        SourceError: there is none, or it is of no known family.
    """
    try:
        config: PreTrainedConfig = transformers.AutoConfig.from_pretrained(model, revision=revision)
    except (OSError, ValueError) as error:
        raise SourceError(
            f"{model} must be a model folder or a name on the hub: {error}"
        ) from error
    architecture(config)
    return config


def load_source(model: str, revision: str | None = None) -> PreTrainedModel:
    """Read a model in fp32 and evaluation mode; an answer head that it lacks is random.

    Raises:
        SourceError: there is none, or it is of no known family.
    """
    return _load(model, revision)[0]


def architecture(config: PreTrainedConfig) -> size.Architecture:
    """Return the dimensions of a model.

    Raises:
        SourceError: it is neither a BERT nor a DistilBERT.
    """
    family = config.model_type
    if family not in _FIELDS:
        raise SourceError(f"a model must be one of {', '.join(_FIELDS)}, but got {family!r}")
    return size.Architecture(
        family=size.Family(family),
        vocab_size=config.vocab_size,
        max_position_embeddings=config.max_position_embeddings,
        hidden_size=config.hidden_size,
        intermediate_size=getattr(config, _FIELDS[family]["intermediate_size"]),
        n_layers=config.num_hidden_layers,
        n_heads=config.num_attention_heads,
        type_vocab_size=getattr(config, "type_vocab_size", 0),
    )


def student(request: requests.Request, settings: Settings) -> PreTrainedModel:
    """Build the student of a trial, untrained, in training mode on the CPU.

    Weights that no source gives (the answer head of a checkpoint without one, layers beyond the
    source's, all with ``Scratch``) are normal with ``initializer_range``, drawn from ``seed``.

    Raises:
        InfeasibleError: no such student exists.
        SourceError: the source cannot be read.
    """
    source = _source(request, settings)
    assert source.model is not None
    config = load_config(source.model, source.revision)
    model: PreTrainedModel = _random(_shaped(config, settings), settings.seed)
    if settings.initialization != Initialization.SCRATCH:
        _inherit(model, *_load(source.model, source.revision), settings)
    if settings.n_heads is not None and settings.n_heads < config.num_attention_heads:
        layers = len(heads.layers(model))
        total = config.num_attention_heads
        heads.prune(model, heads.choose(layers, total, settings.n_heads, settings.pruning_seed))
    dropout.build_in(model)
    if "qa_dropout" not in _FIELDS[config.model_type]:
        _drop_before_head(model, settings.qa_dropout)
    model.train()
    return model


def layer_choice(selection: LayerSelection, source: int, wanted: int) -> list[int]:
    """Return which of the source's layers a student of ``wanted`` layers starts from, in order.

    All of them where it wants more; ``EvenlySpaced`` keeps the first and the last (12 -> 6: 0, 2,
    4, 7, 9, 11), and the first alone where only one is wanted.
    """
    if wanted >= source:
        return list(range(source))
    if selection == LayerSelection.FIRST or wanted == 1:
        return list(range(wanted))
    return [round(i * (source - 1) / (wanted - 1)) for i in range(wanted)]


def save(model: PreTrainedModel, tokenizer: Path, folder: Path) -> None:
    """Write a student and its tokenizer's files; the folder appears complete or not at all."""
    with _appearing(folder) as partial:
        shutil.copytree(tokenizer, partial)
        config = type(model.config).from_dict(model.config.to_dict())
        config.architectures = [_CLASSES[config.model_type].__name__]
        if hasattr(config, heads.KEPT):
            name = heads.CLASSES[config.model_type].__name__
            config.auto_map = {"AutoModelForQuestionAnswering": f"heads.{name}"}
            shutil.copy(heads.__file__, partial / "heads.py")
        config.save_pretrained(partial)
        weights = {k: v.detach().cpu().contiguous() for k, v in heads.full_size(model).items()}
        safetensors.torch.save_file(weights, partial / "model.safetensors", {"format": "pt"})


def load(folder: Path) -> PreTrainedModel:
    """Read what :func:`save` wrote, in evaluation mode, its pruned heads removed again.

    Raises:
        SourceError: the folder holds no such model.
    """
    model, _ = _load(str(folder), None)
    if kept := getattr(model.config, heads.KEPT, None):
        heads.prune(model, kept)
    return model


def export(source: Path, target: Path) -> None:
    """Copy a saved student to a folder that plain transformers loads.

    Raises:
        FileExistsError: the target exists.
        SourceError: the source holds no such model.
    """
    load(source)
    if target.exists():
        raise FileExistsError(f"{target} must not exist yet, but it does")
    target.parent.mkdir(parents=True, exist_ok=True)
    with _appearing(target) as partial:
        shutil.copytree(source, partial)


@contextlib.contextmanager
def _appearing(folder: Path) -> Iterator[Path]:
    """Give the path of a sibling to write to, and rename it to the folder at the end."""
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    yield partial
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def _load(model: str, revision: str | None) -> tuple[PreTrainedModel, set[str]]:
    """Read a model and the names of the weights that its checkpoint lacks."""
    config = load_config(model, revision)
    try:
        read, report = _CLASSES[config.model_type].from_pretrained(
            model, revision=revision, dtype=torch.float32, output_loading_info=True
        )
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        raise SourceError(f"the weights of {model} must be readable: {error}") from error
    return read.eval(), set(report["missing_keys"])


def _source(request: requests.Request, settings: Settings) -> requests.Teacher | requests.Student:
    """Return which model a student starts from, or takes its shape from."""
    if settings.initialization != Initialization.TEACHER and request.student.model:
        return request.student
    assert (
        request.teacher is not None
    )  # settings refuse a request that names no model to start from
    return request.teacher


def _shaped(source: PreTrainedConfig, settings: Settings) -> PreTrainedConfig:
    """Return the configuration of a student before its heads are pruned."""
    dimensions = architecture(source)
    try:
        # Only one source matters to a given initialization, so it can stand for both.
        sources = {"teacher": dimensions, "student": dimensions}
        shape = size.shape(sources, asdict(settings))
    except ValueError as error:
        raise InfeasibleError(str(error)) from error
    wanted = {**asdict(shape), **asdict(settings), "hidden_size": shape.hidden_size}
    fields = {field: wanted[name] for name, field in _FIELDS[source.model_type].items()}
    fields |= {
        _FIELDS[source.model_type]["n_layers"]: shape.n_layers,
        "initializer_range": settings.initializer_range,
        "num_labels": 2,
    }
    # A source may itself be a pruned student: at full size it has its zeros, and no map is due.
    kept = {k: v for k, v in source.to_dict().items() if k not in (heads.KEPT, "auto_map")}
    return type(source).from_dict({**kept, **fields})


def _random(config: PreTrainedConfig, seed: int) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _CLASSES[config.model_type](config)
    if config.initializer_range == 0:  # transformers takes 0 for "not given" and draws with 0.02
        for matrix in (p for p in model.parameters() if p.ndim > 1):
            nn.init.zeros_(matrix)
    return model


def _inherit(model: Any, source: Any, missing: set[str], settings: Settings) -> None:
    """Copy what the source has: embeddings, the chosen layers in their order, the answer head."""
    chosen = layer_choice(
        LayerSelection(settings.layer_selection),
        len(heads.layers(source)),
        len(heads.layers(model)),
    )
    for kept, number in zip(heads.layers(model), chosen, strict=False):
        kept.load_state_dict(heads.layers(source)[number].state_dict())
    model.base_model.embeddings.load_state_dict(source.base_model.embeddings.state_dict())
    if not any(name.startswith("qa_outputs.") for name in missing):
        model.qa_outputs.load_state_dict(source.qa_outputs.state_dict())


def _drop_before_head(model: Any, share: float) -> None:
    """Give BERT the dropout before the answer head that it lacks, as a hook: no file shows it."""

    def drop(head: nn.Module, inputs: tuple[Tensor]) -> Tensor:
        return dropout.drop(inputs[0], share) if head.training else inputs[0]

    model.qa_outputs.register_forward_pre_hook(drop)
