"""The losses against direct formulas, and their indifference to padding."""

import math

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from distillery_trainer.training import loss

LENGTHS = (5, 9, 3)


def ragged(width: int | None = None, seed: int = 0) -> list[torch.Tensor]:
    """Return one random tensor per window: (t,) or (t, width)."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [(t,) if width is None else (t, width) for t in LENGTHS]
    return [torch.randn(shape, generator=generator) * 3 for shape in shapes]


def padded(parts: list[torch.Tensor], length: int = 12, fill: float = 7.0) -> torch.Tensor:
    """Return windows as one tensor, wide padding full of a misleading value."""
    tensor = torch.full((len(parts), length, *parts[0].shape[1:]), fill)
    for row, part in zip(tensor, parts, strict=True):
        row[: len(part)] = part
    return tensor


MASK = torch.arange(12) < torch.tensor(LENGTHS)[:, None]
START, END = torch.tensor([1, 0, 2]), torch.tensor([3, 0, 2])


def test_the_hard_loss_is_the_mean_cross_entropy_of_the_windows_one_by_one() -> None:
    starts, ends = ragged(seed=1), ragged(seed=2)
    expected = sum(
        functional.cross_entropy(s[None], i[None]) + functional.cross_entropy(e[None], j[None])
        for s, e, i, j in zip(starts, ends, START, END, strict=True)
    ) / (2 * len(LENGTHS))
    found = loss.hard(padded(starts), padded(ends), MASK, START, END)
    torch.testing.assert_close(found, torch.as_tensor(expected))


@given(temperature=st.sampled_from([0.1, 0.5, 1.0, 2.0, 10.0, 100.0]))
def test_the_soft_loss_is_the_divergence_of_the_windows_one_by_one(temperature: float) -> None:
    starts, ends, taught_starts, taught_ends = (ragged(seed=i) for i in range(4))
    total = 0.0
    for student, teacher in zip(starts + ends, taught_starts + taught_ends, strict=True):
        p, q = ((x.double() / temperature).softmax(-1) for x in (teacher, student))
        total += float((p * (p / q).log()).nan_to_num().sum())
    expected = total / (2 * len(LENGTHS)) * temperature**2
    found = loss.soft(
        torch.stack([padded(starts), padded(ends)]),
        torch.stack([padded(taught_starts, fill=-9.0), padded(taught_ends, fill=99.0)]),
        MASK,
        temperature,
    )
    assert math.isclose(float(found), expected, rel_tol=1e-4, abs_tol=1e-5)


def test_a_student_with_the_teachers_logits_has_no_soft_loss_and_no_gradient() -> None:
    teacher = torch.stack([padded(ragged(seed=1)), padded(ragged(seed=2))])
    student = teacher.clone().requires_grad_()
    found = loss.soft(student, teacher, MASK, 2.0)
    torch.autograd.backward(found)
    assert float(found.detach()) == 0
    assert student.grad is not None
    torch.testing.assert_close(student.grad, torch.zeros_like(student), atol=1e-6, rtol=0)


def test_the_gradient_of_padding_is_zero() -> None:
    student = torch.stack([padded(ragged(seed=1)), padded(ragged(seed=2))]).requires_grad_()
    teacher = torch.stack([padded(ragged(seed=3)), padded(ragged(seed=4))])
    hard = loss.hard(student[0], student[1], MASK, START, END)
    torch.autograd.backward(hard + loss.soft(student, teacher, MASK, 2.0))
    assert student.grad is not None
    assert torch.all(student.grad.isfinite())
    assert torch.all(student.grad[:, ~MASK] == 0)
    assert torch.any(student.grad[:, MASK] != 0)


def test_the_relation_loss_is_the_mean_over_windows_tokens_and_heads() -> None:
    students, teachers = ragged(8, seed=1), ragged(12, seed=2)
    heads, total = 4, 0.0
    for student, teacher in zip(students, teachers, strict=True):
        for h in range(heads):
            s = student[:, 2 * h : 2 * h + 2].double()
            t = teacher[:, 3 * h : 3 * h + 3].double()
            p, q = (t @ t.T / 3**0.5).softmax(-1), (s @ s.T / 2**0.5).softmax(-1)
            per_token = (p * (p / q).log()).sum(-1)
            total += float(per_token.mean()) / heads
    found = loss.relation(padded(students), padded(teachers), MASK, heads)
    assert math.isclose(float(found), total / len(LENGTHS), rel_tol=1e-4)


def test_equal_projections_have_no_relation_loss_and_finite_gradients() -> None:
    student = padded(ragged(8)).requires_grad_()
    found = loss.relation(student, student.detach(), MASK, 2)
    torch.autograd.backward(found)
    assert abs(float(found.detach())) < 1e-6
    assert student.grad is not None
    assert torch.all(student.grad.isfinite())


@given(st.integers(1, 12), st.integers(1, 12), st.sampled_from([8, 32, 64]))
def test_relation_heads_divide_both_widths_whatever_was_pruned(
    kept: int, heads: int, size: int
) -> None:
    found = loss.relation_heads(kept * size, heads * size, heads)
    assert 1 <= found <= heads
    assert kept * size % found == 0
    assert heads * size % found == 0


def test_five_of_twelve_heads_still_give_eight_relation_heads() -> None:
    assert loss.relation_heads(5 * 64, 12 * 64, 12) == 8
    assert loss.relation_heads(12 * 64, 12 * 64, 12) == 12
