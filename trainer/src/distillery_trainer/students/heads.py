"""Attention heads of BERT and DistilBERT, pruned so that the matrices really shrink.

transformers 5 has no head pruning of its own. A copy of this file lies beside the weights of each
student with pruned heads, so it imports nothing of Distillery. ``config.json`` names its classes to
transformers by ``auto_map``; :mod:`distillery_trainer.students.model_folder` writes both.
"""

from collections.abc import Sequence
from random import Random
from typing import Any, Final, cast

import torch
from torch import nn
from transformers import (
    BertForQuestionAnswering,
    DistilBertForQuestionAnswering,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.pytorch_utils import prune_linear_layer

KEPT: Final = "distillery_kept_heads"
"""Field of ``config.json``: the heads that each layer keeps, by their numbers in the source."""

_LAYERS: Final = {"bert": "encoder.layer", "distilbert": "transformer.layer"}
_INWARD: Final = {
    "bert": ("attention.self.query", "attention.self.key", "attention.self.value"),
    "distilbert": ("attention.q_lin", "attention.k_lin", "attention.v_lin"),
}
_OUTWARD: Final = {"bert": "attention.output.dense", "distilbert": "attention.out_lin"}


def choose(offered: Sequence[Sequence[int]], kept: int, seed: int) -> list[list[int]]:
    """Choose at random which heads each layer keeps: ``kept`` of those that it has, ascending."""
    random = Random(seed)
    return [sorted(random.sample(heads, kept)) for heads in offered]


def prune(model: PreTrainedModel, kept: Sequence[Sequence[int]]) -> None:
    """Remove all heads that are not kept.

    These are rows of the query, key and value matrices, and columns of the output matrix.

    Args:
        model: a BERT or DistilBERT at full size.
        kept: for each layer the numbers of the heads to keep.
    """
    family = model.config.model_type
    for layer, heads in zip(layers(model), kept, strict=True):
        index = _index(model.config, heads)
        for name in _INWARD[family]:
            _narrow(layer, name, index, dim=0)
        _narrow(layer, _OUTWARD[family], index, dim=1)
    setattr(model.config, KEPT, [list(heads) for heads in kept])


def full_size(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """Return the weights at the source's shapes, zeros in place of pruned heads.

    The model gives the same answers with them: a head adds nothing if its columns of the output
    matrix are 0.
    """
    state = dict(model.state_dict())
    kept: list[list[int]] = getattr(model.config, KEPT, None) or []
    family, width = model.config.model_type, model.config.hidden_size
    for number, heads in enumerate(kept):
        index = _index(model.config, heads)
        prefix = f"{model.base_model_prefix}.{_LAYERS[family]}.{number}."
        for name in _INWARD[family]:
            for part in (f"{prefix}{name}.weight", f"{prefix}{name}.bias"):
                full = state[part].new_zeros(width, *state[part].shape[1:])
                state[part] = full.index_copy(0, index.to(full.device), state[part])
        part = f"{prefix}{_OUTWARD[family]}.weight"
        full = state[part].new_zeros(width, width)
        state[part] = full.index_copy(1, index.to(full.device), state[part])
    return state


def layers(model: PreTrainedModel) -> nn.ModuleList:
    """Return the transformer layers."""
    found = model.base_model.get_submodule(_LAYERS[model.config.model_type])
    assert isinstance(found, nn.ModuleList)
    return found


def projections(model: PreTrainedModel) -> list[nn.Module]:
    """Return the last layer's query, key and value matrices."""
    return [layers(model)[-1].get_submodule(name) for name in _INWARD[model.config.model_type]]


class _Pruned:
    """Removes the pruned heads of a model's config as it is loaded."""

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
        """Load a folder at full size, then prune."""
        model = super().from_pretrained(*args, **kwargs)  # type: ignore[misc]
        prune(model, getattr(model.config, KEPT))
        return model


# transformers annotates neither class's __init_subclass__.
class PrunedBertForQuestionAnswering(_Pruned, BertForQuestionAnswering):  # type: ignore[no-untyped-call]
    """A BERT with fewer heads."""


class PrunedDistilBertForQuestionAnswering(_Pruned, DistilBertForQuestionAnswering):  # type: ignore[no-untyped-call]
    """A DistilBERT with fewer heads."""


CLASSES: Final = {
    "bert": PrunedBertForQuestionAnswering,
    "distilbert": PrunedDistilBertForQuestionAnswering,
}


def _narrow(layer: nn.Module, name: str, index: torch.LongTensor, dim: int) -> None:
    linear = layer.get_submodule(name)
    assert isinstance(linear, nn.Linear)
    layer.set_submodule(name, prune_linear_layer(linear, index, dim))


def _index(config: PreTrainedConfig, heads: Sequence[int]) -> torch.LongTensor:
    """Return the rows that belong to heads, (kept heads * head size,)."""
    size = config.hidden_size // config.num_attention_heads
    rows = torch.tensor(heads)[:, None] * size + torch.arange(size)
    return cast(torch.LongTensor, rows.flatten())
