"""Vectors over all tracked weights: one joined matrix [out, in (+ 1)] a layer, weight and bias side by side."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from ifcurate.influence.curvature.inverse import join_bias, layers_of, split_bias

Vector = dict[str, torch.Tensor]


def joined(tensors: Mapping[str, torch.Tensor]) -> Vector:
    """From tensors by parameter name."""
    return {layer: join_bias(tensors, layer) for layer in layers_of(tensors)}


def parted(vector: Vector, like: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The inverse of `joined`; `like` has the names."""
    tensors: dict[str, torch.Tensor] = {}
    for layer, matrix in vector.items():
        tensors.update(split_bias(matrix, layer, f"{layer}.bias" in like))
    return tensors


def plus(vector: Vector, other: Vector, scale: float = 1.0) -> Vector:
    """vector + scale x other."""
    return {layer: torch.add(matrix, other[layer], alpha=scale) for layer, matrix in vector.items()}


def dot(vector: Vector, other: Vector) -> float:
    """Inner product, layers summed in float64."""
    return float(sum(torch.linalg.vecdot(vector[layer], other[layer]).double().sum() for layer in vector))
