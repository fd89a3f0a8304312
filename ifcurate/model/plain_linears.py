"""Layers that compute what `nn.Linear` does under another name, replaced by it: only that is tracked."""

from __future__ import annotations

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D


def use_plain_linears(model: nn.Module) -> None:
    """Swap every transformers `Conv1D`, and every other kind of `nn.Linear` that computes the same, in place.

    Names stay; the weight of a `Conv1D` is transposed, others keep theirs.
    """
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, Conv1D):
                setattr(module, name, _of_conv1d(child))
            elif isinstance(child, nn.Linear) and type(child) is not nn.Linear and _is_linear(child):
                setattr(module, name, _linear(child.get_parameter("weight"), child.bias))


def _of_conv1d(conv: Conv1D) -> nn.Linear:
    weight = nn.Parameter(conv.weight.detach().t().contiguous())
    return _linear(weight, nn.Parameter(conv.bias.detach().clone()))


def _linear(weight: nn.Parameter, bias: nn.Parameter | None) -> nn.Linear:
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    linear.weight = weight
    if bias is not None:
        linear.bias = bias
    return linear


@torch.no_grad()
def _is_linear(layer: nn.Linear) -> bool:
    """Whether a kind of `nn.Linear` with a forward pass of its own gives what `nn.Linear` would, on random rows."""
    rows = torch.randn(2, layer.in_features, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rows = rows.to(layer.weight.device, layer.weight.dtype)
    try:
        found = layer(rows)
    except (RuntimeError, TypeError, ValueError):  # it wants something else
        return False
    expected = nn.functional.linear(rows, layer.weight, layer.bias)
    return isinstance(found, torch.Tensor) and found.shape == expected.shape and torch.allclose(found, expected)
