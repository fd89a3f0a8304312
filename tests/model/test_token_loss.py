"""Losses of the head, and their derivatives gathered in tiles, against the plain formula."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from ifcurate.model import token_loss
from ifcurate.model.token_loss import token_loss_derivatives, token_losses

TOKENS, WIDTH, VOCABULARY = 21, 8, 50


class Capped(nn.Linear):
    def forward(self, features):
        return torch.tanh(super().forward(features))


@pytest.fixture(params=["tiles", "kernel"], autouse=True)
def small_tiles(request, monkeypatch):
    monkeypatch.setattr(token_loss, "FUSED_ROWS", 1 if request.param == "kernel" else 1 << 30)
    monkeypatch.setattr(token_loss, "TILE", {"cpu": (4, 16)})
    monkeypatch.setattr(token_loss, "CHUNK_VALUES", {"cpu": 1})
    monkeypatch.setattr(token_loss, "FEWEST_ROWS", 6)


def case(kind=nn.Linear, bias=True, dtype=torch.float64, spread=3.0):
    torch.manual_seed(0)
    head = kind(WIDTH, VOCABULARY, bias=bias).to(dtype)
    features = (spread * torch.randn(TOKENS, WIDTH)).to(dtype)
    return head, features, torch.randint(0, VOCABULARY, (TOKENS,))


@pytest.mark.parametrize("kind", [nn.Linear, Capped])
@pytest.mark.parametrize("bias", [True, False])
def test_losses_are_cross_entropies(kind, bias):
    head, features, labels = case(kind, bias)
    expected = cross_entropy(head(features), labels, reduction="none")
    assert torch.allclose(token_losses(head, features, labels), expected, atol=1e-12)
    logits = head(features).detach()
    assert torch.allclose(token_losses(nn.Identity(), logits, labels), expected, atol=1e-12)


@pytest.mark.parametrize("kind", [nn.Linear, Capped])
@pytest.mark.parametrize("bias", [True, False])
def test_derivatives_are_those_of_forward_mode(kind, bias):
    head, features, labels = case(kind, bias)
    tangents = torch.randn(3, TOKENS, WIDTH, dtype=torch.float64)
    losses, derivatives = token_loss_derivatives(head, features, tangents, labels)

    def plain(moved):
        return cross_entropy(head(moved), labels, reduction="none")

    for tangent, found in zip(tangents, derivatives, strict=True):
        expected = torch.func.jvp(plain, (features,), (tangent,))
        assert torch.allclose(losses, expected[0], atol=1e-12)
        assert torch.allclose(found, expected[1], atol=1e-12)


def test_logits_far_from_zero_stay_finite_and_exact():
    head, features, labels = case(spread=1e4)
    losses, derivatives = token_loss_derivatives(head, features, features[None], labels)
    expected = cross_entropy(head(features), labels, reduction="none")
    assert torch.isfinite(derivatives).all()
    assert torch.allclose(losses, expected, rtol=1e-10)


def test_bfloat16_features_give_float32_derivatives():
    head, features, labels = case(spread=1.0)
    tangents = torch.randn(2, TOKENS, WIDTH, dtype=torch.float64)
    exact = token_loss_derivatives(head, features, tangents, labels)
    found = token_loss_derivatives(head.bfloat16(), features.bfloat16(), tangents.bfloat16(), labels)
    for rounded, value in zip(found, exact, strict=True):
        assert rounded.dtype == torch.float32
        assert torch.allclose(rounded.double(), value, atol=0.05)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_tokens_that_are_nearly_certain_keep_their_digits_in_tiles(dtype, monkeypatch):
    monkeypatch.setattr(token_loss, "FUSED_ROWS", 1 << 30)
    head, features, _ = case(bias=False, dtype=torch.float64, spread=30.0)
    head, features = head.to(dtype), features.to(dtype)
    logits = head(features).detach()
    labels = logits.argmax(1)
    losses, derivatives = token_loss_derivatives(head, features, features[None], labels)
    exact = logits.double()
    slopes = exact.softmax(1).index_put_((torch.arange(TOKENS), labels), torch.zeros(TOKENS, dtype=torch.float64))
    slopes[torch.arange(TOKENS), labels] = -slopes.sum(1)
    along = ((slopes @ head.weight.double()) * features.double()).sum(1)
    assert losses.min() >= 0
    assert losses.min() < 1e-3
    assert torch.allclose(losses.double(), cross_entropy(exact, labels, reduction="none"), rtol=1e-3, atol=1e-6)
    assert torch.allclose(derivatives[0].double(), along, rtol=0.1, atol=1e-5)  # bfloat16 logits are the truth here


def test_tokens_that_are_nearly_certain_are_as_exact_as_logits_in_the_kernel(monkeypatch):
    monkeypatch.setattr(token_loss, "FUSED_ROWS", 1)
    head, features, _ = case(bias=False, spread=30.0)
    labels = head(features).argmax(1)
    exact = token_loss_derivatives(head, features, features[None], labels)
    found = token_loss_derivatives(head.float(), features.float(), features.float()[None], labels)
    rounding = float(head(features.float()).detach().abs().max()) * torch.finfo(torch.float32).eps
    assert exact[0].min() < 1e-6
    assert found[0].min() >= 0
    assert torch.allclose(found[0].double(), exact[0], atol=8 * rounding)
    assert torch.allclose(found[1].double(), exact[1], atol=0.1 * rounding * float(features.norm(dim=1).max()))
