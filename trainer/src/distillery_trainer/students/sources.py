"""Reads the models that a student can start from: teachers, and pretrained models.

Every weight that a model computes with must come from its files. Only an answer head may be absent,
and only from a model that a student starts from.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import safetensors
import torch
import transformers
from transformers import PreTrainedConfig

from distillery_trainer.students import families, heads
from distillery_trainer.students.families import Model, SourceError

HEAD: Final = ("qa_outputs.weight", "qa_outputs.bias")
"""The weights of the answer head."""

_SHOWN: Final = 3
"""How many weights a sentence names."""


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
    families.architecture(config)
    return config


def load(model: str, revision: str | None = None) -> Model:
    """Read a model that answers, in fp32 and evaluation mode, without its pruned heads.

    Raises:
        SourceError: there is none, it is of no known family, or its files lack weights.
    """
    read, headless = load_full_size(model, revision)
    if headless:
        raise SourceError(_lacking(model, HEAD))
    if kept := getattr(read.config, heads.KEPT, None):
        heads.prune(read, kept)
    return read


def load_full_size(model: str, revision: str | None = None) -> tuple[Model, bool]:
    """Read a model with zeros in place of pruned heads, and tell whether its answer head is random.

    Raises:
        SourceError: as :func:`load` does; but a model may lack the answer head, but nothing else.
    """
    config = load_config(model, revision)
    config.num_labels = 2  # a start and an end logit, whatever its last task was
    try:
        read, report = families.CLASSES[config.model_type].from_pretrained(
            model,
            config=config,
            revision=revision,
            dtype=torch.float32,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are named below
        )
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        raise SourceError(f"the weights of {model} must be readable: {error}") from error
    missing, headless = set(report["missing_keys"]), set(HEAD) <= set(report["missing_keys"])
    if faults := _faults(model, missing - (set(HEAD) if headless else set()), report):
        raise SourceError("; ".join(faults))
    return read.eval(), headless


def _faults(model: str, missing: set[str], report: Mapping[str, Any]) -> list[str]:
    """Return what keeps files from being the weights of the model that their config describes."""
    faults = []
    others = [
        f"{name} ({_shape(found)} in the files, {_shape(wanted)} wanted)"
        for name, found, wanted in sorted(report["mismatched_keys"])
    ]
    if others:
        rule = f"the weights of {model} must have the shapes of its config.json and an answer head"
        faults.append(f"{rule}, but {len(others)} have others: {_shown(others)}")
    if missing := missing - {name for name, *_ in report["mismatched_keys"]}:
        faults.append(_lacking(model, sorted(missing)))
    return faults


def _lacking(model: str, names: Sequence[str]) -> str:
    rule = f"{model} must have all weights that its config.json describes, or they would be random"
    return f"{rule}, but {len(names)} are missing: {_shown(names)}"


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")


def _shape(size: Sequence[int]) -> str:
    return " × ".join(map(str, size))
