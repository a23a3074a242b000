"""The folder of a trained student: the product of a trial. ``train`` saves it.

One folder serves three readers. Its weights have the source's shapes, with zeros where heads were
pruned. So plain ``AutoModelForQuestionAnswering.from_pretrained`` gives the same answers, at the
unpruned size. :func:`load` prunes again, by the map of heads in ``config.json``. And
``from_pretrained(folder, trust_remote_code=True)`` prunes without Distillery, by the copy of
:mod:`distillery_trainer.students.heads` that lies in the folder. A file with the narrower matrices
would spare the zeros on disk, but plain transformers refuses it: its configs have no word for them.
"""

import shutil
from pathlib import Path

import safetensors.torch

from distillery_trainer import atomic
from distillery_trainer.students import heads, sources
from distillery_trainer.students.families import CLASSES, Model


def save(model: Model, tokenizer: Path, folder: Path) -> None:
    """Write a student and its tokenizer's files; the folder appears complete or not at all."""
    with atomic.folder(folder) as partial:
        shutil.copytree(tokenizer, partial, dirs_exist_ok=True)
        config = type(model.config).from_dict(model.config.to_dict())
        config.architectures = [CLASSES[config.model_type].__name__]
        if hasattr(config, heads.KEPT):
            name = heads.CLASSES[config.model_type].__name__
            config.auto_map = {"AutoModelForQuestionAnswering": f"heads.{name}"}
            shutil.copy(heads.__file__, partial / "heads.py")
        config.save_pretrained(partial)
        weights = {k: v.detach().cpu().contiguous() for k, v in heads.full_size(model).items()}
        safetensors.torch.save_file(weights, partial / "model.safetensors", {"format": "pt"})


def load(folder: Path) -> Model:
    """Read a saved student, in evaluation mode and without its pruned heads.

    Raises:
        SourceError: the folder holds no such model.
    """
    return sources.load(str(folder))


def export(source: Path, target: Path) -> None:
    """Copy a saved student to a folder that plain transformers loads.

    Raises:
        FileExistsError: the target exists.
        SourceError: the source holds no such model.
    """
    load(source)
    if target.exists():
        raise FileExistsError(f"{target} must not exist yet, but it does")
    with atomic.folder(target) as partial:
        shutil.copytree(source, partial, dirs_exist_ok=True)
