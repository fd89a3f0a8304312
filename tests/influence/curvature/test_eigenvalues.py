import pytest
import torch
from torch import nn

from ifcurate.influence.curvature import eigenvalues as module
from ifcurate.influence.curvature.eigenvalues import CorrectedEigenvalues, is_rotated_first
from ifcurate.influence.curvature.signals import Layer

OUT, IN, LENGTHS = 6, 10, [1, 3, 9]


def random_basis(size):
    return torch.linalg.qr(torch.randn(size, size, dtype=torch.float64))[0]


def case(has_bias):
    torch.manual_seed(0)
    layers = {name: Layer(nn.Linear(IN, OUT, bias=has_bias), "q") for name in ("q", "k")}
    basis_in, basis_out = random_basis(IN + has_bias), {name: random_basis(OUT) for name in layers}
    inputs = torch.randn(sum(LENGTHS), IN, dtype=torch.float64)
    gradients = {name: torch.randn(sum(LENGTHS), OUT, dtype=torch.float64) for name in layers}
    return layers, basis_in, basis_out, inputs, gradients


def by_definition(inputs, gradients, basis_in, basis_out, has_bias):
    total = 0
    for whole, slopes in zip(inputs.split(LENGTHS), gradients.split(LENGTHS), strict=True):
        if has_bias:
            whole = torch.cat([whole, torch.ones(len(whole), 1, dtype=torch.float64)], dim=1)
        total = total + (basis_out.T @ (slopes.T @ whole) @ basis_in) ** 2
    return total


@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.parametrize("rotated_first", [None, False, True])
@pytest.mark.parametrize("cached", [1, 25, 1 << 18])
def test_both_orders_square_the_gradient_in_the_eigenbasis(has_bias, rotated_first, cached, monkeypatch):
    monkeypatch.setattr(module, "CACHED_VALUES", cached)
    if rotated_first is not None:
        monkeypatch.setattr(module, "is_rotated_first", lambda *given: rotated_first)
    layers, basis_in, basis_out, inputs, gradients = case(has_bias)
    found = CorrectedEigenvalues(layers, {"q": basis_in}, basis_out)
    for batch in (inputs, 2 * inputs):
        for name in ("k", "q"):  # as the backward pass gives them
            found.add(name, batch, gradients[name], LENGTHS)
        found.forget()
    for name in layers:
        expected = sum(
            by_definition(batch, gradients[name], basis_in, basis_out[name], has_bias) for batch in (inputs, 2 * inputs)
        )
        assert torch.allclose(found.sums[name], expected, rtol=1e-12)


def test_the_cheaper_order_is_chosen():
    assert is_rotated_first(693, 576, 1536)
    assert not is_rotated_first(695, 576, 1536)

    def operations(tokens, out, size):
        first = tokens * (out**2 + size**2 + out * size)
        product_first = tokens * out * size + out * size * (out + size)
        return first, product_first

    for tokens in range(1, 60, 3):
        for out, size in ((8, 32), (32, 8), (16, 16)):
            first, product_first = operations(tokens, out, size)
            assert is_rotated_first(tokens, out, size) == (first < product_first)
