"""What trains in which precision, and which GPU does not train at all."""

from pathlib import Path

import pytest
import torch

from distillery_trainer import devices
from distillery_trainer.devices import Precision


@pytest.mark.parametrize(
    ("capability", "expected"),
    [
        ((6, 1), Precision.FP32),  # P40
        ((7, 0), Precision.FP16),  # V100
        ((7, 5), Precision.FP16),  # T4, RTX 20xx, which emulate bf16
        ((8, 0), Precision.BF16),  # A100
        ((8, 9), Precision.BF16),  # L4, RTX 40xx
        ((9, 0), Precision.BF16),  # H100, H200
        ((12, 0), Precision.BF16),  # RTX 50xx
    ],
)
def test_bf16_is_for_gpus_that_have_it(capability: devices.Capability, expected: Precision) -> None:
    assert devices.of_gpu(capability) is expected


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("fpu avx2 avx512f avx512_bf16 avx512_vnni", Precision.BF16),  # Zen 4, Cooper Lake
        ("fpu avx2 avx512f amx_tile amx_bf16 amx_int8", Precision.BF16),  # Sapphire Rapids
        ("fpu avx2 avx512f avx512_vnni", Precision.FP32),  # Skylake, Ice Lake
        ("fpu avx2 not_avx512_bf16", Precision.FP32),
    ],
)
def test_bf16_is_for_cpus_that_have_units_for_it(flags: str, expected: Precision) -> None:
    described = f"processor\t: 0\nmodel name\t: a CPU\nflags\t\t: {flags}\nbugs\t\t: avx512_bf16\n"
    assert devices.of_cpu(described * 2) is expected


def test_a_cpu_that_nobody_describes_trains_in_fp32() -> None:
    assert devices.of_cpu("") is Precision.FP32


def test_a_gpu_that_torch_has_no_code_for_is_named_with_what_it_needs() -> None:
    known = ["sm_75", "sm_80", "sm_90a", "sm_120"]
    said = devices.unsupported("Tesla V100", (7, 0), known)
    assert "needs a GPU of compute capability 7.5 or higher, but Tesla V100 has 7.0" in said
    for capability in ((7, 5), (8, 9), (12, 0)):
        assert devices.unsupported("a GPU", capability, known) == ""
    assert devices.unsupported("an MI300", (9, 4), ["gfx942"]) == ""


def test_the_page_names_the_least_gpu_of_the_pinned_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)  # else the list is empty
    least = devices.unsupported("x", (0, 0), torch.cuda.get_arch_list()).split()[8]
    page = (Path(__file__).parents[2] / "docs" / "trainer.md").read_text()
    assert f"compute capability {least} or higher" in page
