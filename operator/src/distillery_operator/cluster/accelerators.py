"""PURE: the accelerators that a container asks for."""

import re
from collections.abc import Mapping
from typing import Any, Final

from distillery_operator.cluster import documents

GPU: Final = re.compile(
    r"nvidia\.com/(gpu(\.shared)?|mig-.+)|amd\.com/gpu|gpu\.intel\.com/(i915|xe)"
    r"|habana\.ai/gaudi|google\.com/tpu"
)
"""Names of accelerators; others of the same makers count memory or shares of one."""


def count(container: Mapping[str, Any]) -> int:
    """Return how many accelerators, whole ones or slices, a container occupies.

    What a claim of devices (DRA) holds is written elsewhere: each counts as one.
    """
    limits = documents.part(documents.part(container, "resources"), "limits")
    counts = [str(n) for resource, n in limits.items() if GPU.fullmatch(resource)]
    return sum(int(n) for n in counts if n.isdecimal()) + len(claims(container))


def claims(container: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the claims of devices that a container names."""
    return documents.items(documents.part(container, "resources"), "claims")


def asked(container: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a container asks for by the names of accelerators."""
    resources = documents.part(container, "resources")
    wanted = {**documents.part(resources, "requests"), **documents.part(resources, "limits")}
    return {name: n for name, n in wanted.items() if GPU.fullmatch(name) and str(n) != "0"}
