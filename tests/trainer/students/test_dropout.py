"""Cheap dropout against what dropout means, and its attention against torch's."""

import pytest
import torch
from torch import nn

from distillery_trainer.students import dropout


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9])
def test_a_share_is_dropped_and_the_expectation_stays(share: float) -> None:
    torch.manual_seed(0)
    values = torch.ones(1000, 333)
    found = dropout.drop(values, share)
    kept = found[found != 0]
    assert float((found == 0).float().mean()) == pytest.approx(share, abs=0.003)
    assert torch.all(kept == kept[0])
    assert float(kept[0]) == pytest.approx(1 / (1 - share), rel=2e-4)
    assert float(found.mean()) == pytest.approx(1, abs=0.02)


def test_neighbours_are_dropped_independently() -> None:
    torch.manual_seed(0)
    gone = (dropout.drop(torch.ones(400_000), 0.3) == 0).float()
    for distance in (1, 2, 3, 4):
        both = float((gone[distance:] * gone[:-distance]).mean())
        assert both == pytest.approx(0.09, abs=0.003)


def test_nothing_and_everything_can_be_dropped() -> None:
    values = torch.randn(7, 5)
    assert dropout.drop(values, 0.0) is values
    assert torch.all(dropout.drop(values, 1.0) == 0)


def test_gradients_pass_where_values_do() -> None:
    values = torch.randn(50, 7, requires_grad=True)
    found = dropout.drop(values, 0.4)
    torch.autograd.backward(found.sum())
    assert values.grad is not None
    torch.testing.assert_close(values.grad, (found / values).detach())


def test_the_module_drops_in_training_only() -> None:
    module, values = dropout.Dropout(0.5), torch.ones(100)
    assert module.eval()(values) is values
    assert torch.any(module.train()(values) == 0)


def test_attention_with_hardly_any_dropout_is_torchs_attention() -> None:
    torch.manual_seed(0)
    query, key, value = (torch.randn(2, 3, 9, 4, requires_grad=True) for _ in range(3))
    mask = (torch.arange(9) < torch.tensor([[9], [4]]))[:, None, None, :]
    found, _ = dropout.attention(nn.Module(), query, key, value, mask, dropout=1e-9, scaling=0.5)
    expected = nn.functional.scaled_dot_product_attention(
        query, key, value, attn_mask=mask, scale=0.5
    )
    torch.testing.assert_close(found, expected.transpose(1, 2))
    wanted = [query, key, value]
    gradients = [torch.autograd.grad(x.square().sum(), wanted) for x in (found, expected)]
    torch.testing.assert_close(gradients[0], gradients[1])


def test_attention_drops_probabilities_not_values() -> None:
    torch.manual_seed(0)
    query = key = torch.zeros(1, 1, 1000, 4)
    value = torch.ones(1, 1, 1000, 4)
    found, _ = dropout.attention(nn.Module(), query, key, value, None, dropout=0.5, scaling=1.0)
    assert float(found.std()) == pytest.approx((1 / 1000) ** 0.5, rel=0.1)
    assert float(found.mean()) == pytest.approx(1, abs=0.01)
