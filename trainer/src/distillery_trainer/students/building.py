"""Builds the student of a trial from its source: shape, first weights, heads, dropout."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig

from distillery_contract import request as requests
from distillery_contract import size
from distillery_contract.parameters import Hyperparameters, Initialization, LayerSelection
from distillery_trainer.students import answer_head, dropout, families, heads, sources
from distillery_trainer.students.families import Model

log = logging.getLogger(__name__)


class InfeasibleError(ValueError):
    """The hyperparameters describe no student of this source."""


def student(
    request: requests.Request, hyper: Hyperparameters, note: Callable[[str], None] = log.info
) -> Model:
    """Build the student of a trial, untrained, in training mode on the CPU.

    Some weights come from no source: the answer head of a checkpoint without one, layers beyond the
    source's, and all weights with ``Scratch``. They are normal with the standard deviation
    ``initializer_range``, drawn from ``seed``.

    Args:
        request: names the models.
        hyper: the hyperparameters.
        note: gets a sentence if the answer head is new.

    Raises:
        InfeasibleError: no such student exists.
        SourceError: the source cannot be read.
    """
    source = _source(request, hyper)
    assert source.model is not None
    config = sources.load_config(source.model, source.revision)
    model = _random(_shaped(config, hyper), hyper.seed)
    if hyper.initialization is not Initialization.SCRATCH:
        read, headless = sources.load_full_size(source.model, source.revision)
        _inherit(model, read, headless, hyper)
        if headless:
            note("the student's answer head is new, for student.model has none")
    _prune(model, config, hyper)
    dropout.build_in(model)
    answer_head.build_in(model)
    if "qa_dropout" not in families.FIELDS[config.model_type]:
        _drop_before_head(model, hyper.qa_dropout)
    model.train()
    return model


def layer_choice(selection: LayerSelection, source: int, wanted: int) -> list[int]:
    """Return which of the source's layers a student of ``wanted`` layers starts from, in order.

    A student that wants more layers than the source has gets all of them. ``EvenlySpaced`` keeps
    the first and the last (6 of 12: 0, 2, 4, 7, 9, 11), and the first alone where one is wanted.
    """
    if wanted >= source:
        return list(range(source))
    if selection == LayerSelection.FIRST or wanted == 1:
        return list(range(wanted))
    return [round(i * (source - 1) / (wanted - 1)) for i in range(wanted)]


def _source(
    request: requests.Request, hyper: Hyperparameters
) -> requests.Teacher | requests.Student:
    """Return which model a student starts from, or takes its shape from."""
    if hyper.initialization is not Initialization.TEACHER and request.student.model:
        return request.student
    assert request.teacher is not None  # hyperparameters.resolve asks for a model to start from
    return request.teacher


def _shaped(source: PreTrainedConfig, hyper: Hyperparameters) -> PreTrainedConfig:
    """Return the configuration of a student before its heads are pruned."""
    dimensions = families.architecture(source)
    try:
        # Only one source matters to a given initialization, so it can stand for both.
        shape = size.shape({"teacher": dimensions, "student": dimensions}, asdict(hyper))
    except ValueError as error:
        raise InfeasibleError(str(error)) from error
    wanted = {**asdict(hyper), **asdict(shape)}
    fields = {field: wanted[name] for name, field in families.FIELDS[source.model_type].items()}
    fields |= {"initializer_range": hyper.initializer_range, "num_labels": 2}
    # A source may be a pruned student itself. This one is made at full size, and pruned later.
    kept = {k: v for k, v in source.to_dict().items() if k not in (heads.KEPT, "auto_map")}
    return type(source).from_dict({**kept, **fields})


def _random(config: PreTrainedConfig, seed: int) -> Model:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: Model = families.CLASSES[config.model_type](config)
    if config.initializer_range == 0:  # transformers takes 0 for "not given" and draws with 0.02
        for matrix in (p for p in model.parameters() if p.ndim > 1):
            nn.init.zeros_(matrix)
    return model


def _inherit(model: Model, source: Model, headless: bool, hyper: Hyperparameters) -> None:
    """Copy what the source has: embeddings, the chosen layers in their order, the answer head.

    Args:
        model: the student, at full size.
        source: at full size, too: it has zeros where its heads were pruned.
        headless: whether the source has no answer head.
        hyper: which layers are chosen.
    """
    ours, theirs = heads.layers(model), heads.layers(source)
    chosen = layer_choice(hyper.layer_selection, len(theirs), len(ours))
    for layer, number in zip(ours, chosen, strict=False):
        layer.load_state_dict(theirs[number].state_dict())
    kept, given = (m.base_model.get_submodule("embeddings") for m in (model, source))
    kept.load_state_dict(given.state_dict())
    if not headless:
        model.qa_outputs.load_state_dict(source.qa_outputs.state_dict())


def _prune(model: Model, source: PreTrainedConfig, hyper: Hyperparameters) -> None:
    """Remove the heads that the source lacks, and those that the student shall not keep."""
    offered = _offered(source, len(heads.layers(model)), hyper)
    kept = hyper.n_heads or min(map(len, offered))
    if any(len(layer) > kept for layer in offered):
        offered = heads.choose(offered, kept, hyper.pruning_seed)
    if kept < source.num_attention_heads:
        heads.prune(model, offered)


def _offered(
    source: PreTrainedConfig, layers: int, hyper: Hyperparameters
) -> Sequence[Sequence[int]]:
    """Return the heads that each of a student's layers can keep, by their numbers in the source."""
    full = range(source.num_attention_heads)
    pruned: Sequence[Sequence[int]] | None = getattr(source, heads.KEPT, None)
    if pruned is None or hyper.initialization is Initialization.SCRATCH:
        return [full] * layers
    chosen = layer_choice(hyper.layer_selection, len(pruned), layers)
    return [*(pruned[number] for number in chosen), *[full] * (layers - len(chosen))]


def _drop_before_head(model: Model, share: float) -> None:
    """Give BERT the dropout before the answer head that it lacks, as a hook: no file shows it."""

    def drop(head: nn.Module, inputs: tuple[Tensor]) -> Tensor:
        return dropout.drop(inputs[0], share) if head.training else inputs[0]

    model.qa_outputs.register_forward_pre_hook(drop)
