"""Which GPU trains in which precision, and which does not train at all."""

from pathlib import Path

import pytest
import torch

from distillery_trainer import devices
from distillery_trainer.devices import Precision


@pytest.mark.parametrize(
    ("capability", "expected"),
    [
        (None, Precision.FP32),  # a CPU
        ((6, 1), Precision.FP32),  # P40
        ((7, 0), Precision.FP16),  # V100
        ((7, 5), Precision.FP16),  # T4, RTX 20xx, which emulate bf16
        ((8, 0), Precision.BF16),  # A100
        ((8, 9), Precision.BF16),  # L4, RTX 40xx
        ((9, 0), Precision.BF16),  # H100, H200
        ((12, 0), Precision.BF16),  # RTX 50xx
    ],
)
def test_bf16_is_for_gpus_that_have_it(
    capability: devices.Capability | None, expected: Precision
) -> None:
    assert devices.precise(capability) is expected


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
