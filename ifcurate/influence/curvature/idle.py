"""Experts that no token of the sample was sent to: they have no curvature, so influence is not over their weights."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch

from ifcurate.influence.curvature.factors import Factors
from ifcurate.model.experts import ExpertLayout


def idle_layers(factors: Mapping[str, Factors], layout: ExpertLayout) -> set[str]:
    """Layers of experts that have no factors, or whose gradient was zero in every window."""
    return {layer for layer in layout.layers if layer not in factors or not bool(factors[layer].eigenvalues.any())}


def without(tensors: Mapping[str, torch.Tensor], layers: Collection[str]) -> dict[str, torch.Tensor]:
    """Tensors by the parameter names of linear layers, but for those of `layers`."""
    return {name: tensor for name, tensor in tensors.items() if name.rpartition(".")[0] not in layers}


def idle_sentence(idle: Collection[str], layout: ExpertLayout) -> str:
    """Which experts are idle, for people."""
    found: dict[str, tuple[list[int], int]] = {}
    for fused in layout.fused:
        numbers = [number for number in range(fused.count) if fused.layer(number) in idle]
        if numbers:
            found[fused.experts] = (numbers, fused.count)
    named = "; ".join(
        f"{experts}: {', '.join(map(str, numbers))} ({len(numbers)} of {count})"
        for experts, (numbers, count) in found.items()
    )
    return (
        f"experts that no token of the sample was sent to, whose weights are left out: {named}; more --fit-tokens may "
        "reach them"
    )
