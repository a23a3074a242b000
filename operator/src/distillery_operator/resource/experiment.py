"""The DistillationExperiment resource: its API group, its kind, its metadata and its spec."""

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from distillery_operator.resource.fields import (
    ExperimentName,
    Model,
)
from distillery_operator.resource.spec import Spec

GROUP, VERSION = "distillery.dev", "v1alpha1"
KIND, PLURAL = "DistillationExperiment", "distillationexperiments"
API_VERSION: Final = f"{GROUP}/{VERSION}"


class Metadata(BaseModel):
    """The part of ObjectMeta that Distillery reads; the rest is the API server's."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: ExperimentName
    namespace: str = "default"
    uid: str = ""
    generation: int = 1


class Experiment(Model):
    """A DistillationExperiment as applied to a cluster."""

    api_version: Literal["distillery.dev/v1alpha1"] = Field(description=API_VERSION)
    kind: Literal["DistillationExperiment"] = Field(description=KIND)
    metadata: Metadata
    spec: Spec
    status: dict[str, Any] | None = Field(
        None, description="Written by Distillery; ignored in a file."
    )
