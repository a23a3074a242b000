"""The kinds of objects that are watched, and how the API server calls them."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, NamedTuple

from distillery_operator.resource.experiment import GROUP, KIND, PLURAL, VERSION

Object = Mapping[str, Any]


class Key(NamedTuple):
    """Names an experiment."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class Kind(StrEnum):
    """What is watched."""

    EXPERIMENT = KIND
    JOB = "Job"
    POD = "Pod"


class Resource(NamedTuple):
    """How the API server calls a kind."""

    group: str
    version: str
    plural: str


RESOURCES: Final = {
    Kind.EXPERIMENT: Resource(GROUP, VERSION, PLURAL),
    Kind.JOB: Resource("batch", "v1", "jobs"),
    Kind.POD: Resource("", "v1", "pods"),
}
