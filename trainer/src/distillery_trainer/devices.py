"""Where a model runs, and in which precision a student trains there.

``prepare`` and ``train`` choose the same device in the same manner, so that the times of teacher
and students can be compared.
"""

import functools
import logging
import re
from collections.abc import Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Final

import torch

log = logging.getLogger(__name__)

Capability = tuple[int, int]
"""A GPU's compute capability: 7.5 is a T4, 8.0 an A100, 9.0 an H100."""

BF16_FROM: Final[Capability] = (8, 0)
"""Earlier GPUs emulate bf16, several times more slowly than they compute in fp32."""
FP16_FROM: Final[Capability] = (7, 0)
"""Earlier GPUs have no units for fp16 matrices."""

BF16_FLAGS: Final = frozenset({"avx512_bf16", "amx_bf16"})
"""What Linux calls the units for bf16 of x86 processors. One with them multiplies matrices 2.5
times as fast in bf16 as in fp32 (a Zen 4); one without them takes 10 times as long."""


class Precision(StrEnum):
    """What a student's matrices are multiplied in while it trains; its weights are fp32."""

    BF16 = "bf16"
    FP16 = "fp16"  # few exponents, so gradients are scaled
    FP32 = "fp32"

    @property
    def dtype(self) -> torch.dtype:
        """The type of these numbers in torch."""
        return {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self, torch.float32)


class UnsupportedGpuError(RuntimeError):
    """This torch has no code for this GPU."""


def choose() -> torch.device:
    """Return the GPU if there is one, or else the CPU, and let fp32 matrices use TF32.

    Raises:
        UnsupportedGpuError: torch has no code for the GPU.
    """
    torch.set_float32_matmul_precision("high")
    if not torch.cuda.is_available():
        return torch.device("cpu")
    name, capability = torch.cuda.get_device_name(), torch.cuda.get_device_capability()
    if sentence := unsupported(name, capability, torch.cuda.get_arch_list()):
        raise UnsupportedGpuError(sentence)
    log.info("%s of compute capability %d.%d trains in %s", name, *capability, of_gpu(capability))
    return torch.device("cuda")


def precision(device: torch.device) -> Precision:
    """Return the precision that students train in on a device."""
    if device.type == "cuda":
        return of_gpu(torch.cuda.get_device_capability(device))
    return of_cpu(_processor())


def of_gpu(capability: Capability) -> Precision:
    """Return the precision of a GPU."""
    if capability < FP16_FROM:
        return Precision.FP32
    return Precision.FP16 if capability < BF16_FROM else Precision.BF16


def of_cpu(description: str) -> Precision:
    """Return the precision of a processor, from Linux's description of it."""
    found = re.search(r"^flags\s*:(.*)$", description, re.MULTILINE)
    has_units = bool(found and BF16_FLAGS & set(found[1].split()))
    return Precision.BF16 if has_units else Precision.FP32


def autocast(device: torch.device | str, precision: Precision) -> torch.autocast:
    """Return the context in which a model's matrices are multiplied in a precision."""
    kind = torch.device(device).type
    if precision is Precision.FP32:
        return torch.autocast(kind, enabled=False)
    return torch.autocast(kind, precision.dtype)


def unsupported(name: str, capability: Capability, architectures: Sequence[str]) -> str:
    """Return why a GPU cannot run; nothing if it can.

    Args:
        name: of the GPU.
        capability: of the GPU.
        architectures: that torch has code for, such as ``sm_75``; empty if it does not say.
    """
    known = [least for text in architectures if (least := _capability(text))]
    if not known or capability >= min(known):
        return ""
    low, high = (".".join(map(str, version)) for version in (min(known), capability))
    return (
        f"this torch needs a GPU of compute capability {low} or higher, but {name} has {high};"
        " choose nodes with a later GPU, or a trainer image with a torch that supports this one"
    )


def _capability(architecture: str) -> Capability | None:
    """Return the capability that ``sm_75`` or ``sm_90a`` stands for; None for AMD's names."""
    found = re.fullmatch(r"sm_(\d+)(\d)[a-z]?", architecture)
    return (int(found[1]), int(found[2])) if found else None


@functools.cache
def _processor() -> str:
    """Return Linux's description of the processor; nothing on other systems."""
    with suppress(OSError):
        return Path("/proc/cpuinfo").read_text(encoding="utf-8")
    return ""
