"""The DistillationExperiment resource: its API group, its kind, its metadata and its spec."""

import uuid
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from distillery_operator.resource.fields import (
    ExperimentName,
    Model,
)
from distillery_operator.resource.spec import Spec

GROUP, VERSION = "distillery.dev", "v1alpha1"
KIND, PLURAL = "DistillationExperiment", "distillationexperiments"
API_VERSION: Final = f"{GROUP}/{VERSION}"

STUDY: Final = f"{GROUP}/study"
"""Annotation of an experiment: the uid that its study and its results folder are named by. The
operator writes it, so that an experiment which is created again from a backup finds both."""


def _names_a_study(value: object) -> bool:
    try:
        return isinstance(value, str) and str(uuid.UUID(value)) == value
    except ValueError:
        return False


def _annotations(given: dict[str, Any]) -> dict[str, Any]:
    if STUDY in given and not _names_a_study(given[STUDY]):
        raise PydanticCustomError(
            "study", f"{STUDY} must be the uid of the experiment that the study was made for"
        )
    return given


Annotations = Annotated[dict[str, Any], AfterValidator(_annotations)]


class Metadata(BaseModel):
    """The part of ObjectMeta that Distillery reads; the rest is the API server's."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: ExperimentName
    namespace: str = "default"
    uid: str = ""
    generation: int = 1
    annotations: Annotations | None = None

    @property
    def settled(self) -> bool:
        """Whether the study is known to be there: it was once opened, or belongs to a backup."""
        return bool(self.uid) and STUDY in (self.annotations or {})

    @property
    def study(self) -> str:
        """The uid that study and results are named by; empty in a file.

        It is another one than the experiment's own where the experiment was created again from a
        backup.
        """
        return (self.annotations or {})[STUDY] if self.settled else self.uid


def study_of(metadata: Mapping[str, Any]) -> str:
    """Return the uid that an experiment's study is named by, given metadata as of an API server."""
    named = (metadata.get("annotations") or {}).get(STUDY)
    return str(named if _names_a_study(named) else metadata["uid"])


class Experiment(Model):
    """A DistillationExperiment as applied to a cluster."""

    api_version: Literal["distillery.dev/v1alpha1"] = Field(description=API_VERSION)
    kind: Literal["DistillationExperiment"] = Field(description=KIND)
    metadata: Metadata
    spec: Spec
    status: dict[str, Any] | None = Field(
        None, description="Written by Distillery; ignored in a file."
    )
