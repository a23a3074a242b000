"""Reads the models that a student can start from: teachers, and pretrained models."""

import safetensors
import torch
import transformers
from transformers import PreTrainedConfig

from distillery_trainer.students import families
from distillery_trainer.students.families import Model, SourceError


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
    """Read a model in fp32 and evaluation mode; an answer head that it lacks is random.

    Raises:
        SourceError: there is none, or it is of no known family.
    """
    return load_with_gaps(model, revision)[0]


def load_with_gaps(model: str, revision: str | None = None) -> tuple[Model, set[str]]:
    """Read a model as :func:`load` does, and the names of the weights that its files lack.

    Raises:
        SourceError: there is none, or it is of no known family.
    """
    config = load_config(model, revision)
    try:
        read, report = families.CLASSES[config.model_type].from_pretrained(
            model, revision=revision, dtype=torch.float32, output_loading_info=True
        )
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        raise SourceError(f"the weights of {model} must be readable: {error}") from error
    return read.eval(), set(report["missing_keys"])
