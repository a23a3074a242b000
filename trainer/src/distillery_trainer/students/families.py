"""The families of models that Distillery knows, and what each of them calls its parts."""

from collections.abc import Mapping
from typing import Any, Final

from transformers import BertForQuestionAnswering, DistilBertForQuestionAnswering, PreTrainedConfig

from distillery_contract import size
from distillery_trainer.students import heads

Model = BertForQuestionAnswering | DistilBertForQuestionAnswering
"""A teacher or a student: a transformer with an answer head."""


class SourceError(Exception):
    """A teacher or a student's source cannot be read, or is of no known family."""


# Each of them makes a Model. For types they differ: each takes its own kind of config alone.
CLASSES: Final[Mapping[str, Any]] = {
    "bert": BertForQuestionAnswering,
    "distilbert": DistilBertForQuestionAnswering,
}

FIELDS: Final[Mapping[str, Mapping[str, str]]] = {
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
"""Where the configuration of a family keeps the dimensions and dropouts of a student."""


def architecture(config: PreTrainedConfig) -> size.Architecture:
    """Return the dimensions of a model.

    Raises:
        SourceError: it is neither a BERT nor a DistilBERT, or its map of pruned heads is none.
    """
    family = config.model_type
    if family not in FIELDS:
        raise SourceError(f"a model must be one of {', '.join(FIELDS)}, but got {family!r}")
    return size.Architecture(
        family=size.Family(family),
        vocab_size=config.vocab_size,
        max_position_embeddings=config.max_position_embeddings,
        hidden_size=config.hidden_size,
        intermediate_size=getattr(config, FIELDS[family]["intermediate_size"]),
        n_layers=config.num_hidden_layers,
        n_heads=config.num_attention_heads,
        type_vocab_size=getattr(config, "type_vocab_size", 0),
        kept_heads=_kept_heads(config),
    )


def _kept_heads(config: PreTrainedConfig) -> int:
    """Return how many heads each layer of a pruned model keeps; 0 if it was not pruned."""
    layers = getattr(config, heads.KEPT, None)
    if layers is None:
        return 0
    try:
        fits = len(layers) == config.num_hidden_layers and all(
            0
            < len(layer)
            == len(layers[0])
            == len(set(layer) & {*range(config.num_attention_heads)})
            for layer in layers
        )
    except TypeError:
        fits = False
    if fits:
        return len(layers[0])
    rule = f"{heads.KEPT} must list as many distinct heads for each layer of the model"
    raise SourceError(f"{rule}, but got {layers!r}")
