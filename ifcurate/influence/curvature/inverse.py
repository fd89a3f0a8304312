"""H^-1 g in the eigenbasis: rotate, divide by the damped eigenvalues, rotate back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch

from ifcurate.errors import InputError
from ifcurate.influence.curvature.factors import Factors, load_factors
from ifcurate.progress import track

HEURISTIC = 0.1
"""Times a layer's mean eigenvalue: the damping `heuristic` (Kronfluence's `None`)."""
Damping = float | Literal["heuristic"]
"""Added to every eigenvalue."""


class Inverse:
    """(EK-FAC's H + damping)^-1, layer by layer."""

    def __init__(
        self,
        factors: Mapping[str, Factors],
        dampings: Mapping[str, float],
        device: str,
        dtype: torch.dtype,
        leading: float = 1.0,
    ):
        """`dampings` by layer, see `layer_dampings`. Eigenvalues are divided in float64 and kept in `dtype`.

        Of each layer the `leading` share of eigenvectors is kept, those of the largest eigenvalues; what lies along the
        others is dropped.
        """
        self._basis = {
            layer: (own.gradient_vectors.to(device, dtype), own.input_vectors.to(device, dtype))
            for layer, own in factors.items()
        }
        self._values = {
            layer: _leading((own.eigenvalues.double() / own.windows).add_(dampings[layer]), leading).to(device, dtype)
            for layer, own in factors.items()
        }

    def layer(self, layer: str, matrix: torch.Tensor) -> torch.Tensor:
        """The inverse times a layer's joined matrix [out, in (+ 1)]."""
        left, right = self._basis[layer]
        return left @ ((left.T @ matrix @ right) / self._values[layer]) @ right.T

    def __call__(self, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The inverse times `tensors`, which are named and shaped as `precondition` takes them."""
        found: dict[str, torch.Tensor] = {}
        for layer in layers_of(tensors):
            matrix = self.layer(layer, join_bias(tensors, layer))
            found.update(split_bias(matrix, layer, f"{layer}.bias" in tensors))
        return found


def _leading(values: torch.Tensor, share: float) -> torch.Tensor:
    """`values`, infinite but for the largest `share` of them and those that equal the least of these."""
    kept = math.ceil(share * values.numel())
    if kept == values.numel():
        return values
    least = values.flatten().kthvalue(values.numel() - kept + 1).values
    return torch.where(values >= least, values, math.inf)


def layer_dampings(factors: Mapping[str, Factors], damping: Damping) -> dict[str, float]:
    """What is added to the eigenvalues of each layer."""
    if damping != "heuristic":
        return dict.fromkeys(factors, float(damping))
    return {layer: HEURISTIC * mean for layer, mean in mean_eigenvalues(factors).items()}


def mean_eigenvalues(factors: Mapping[str, Factors]) -> dict[str, float]:
    """Mean corrected eigenvalue of each layer: the mean square of a window's gradient entries there."""
    return {layer: float(own.eigenvalues.double().mean()) / own.windows for layer, own in factors.items()}


def precondition(
    gradient: Mapping[str, torch.Tensor], folder: Path, damping: Damping, device: str, leading: float = 1.0
) -> dict[str, torch.Tensor]:
    """H^-1 g, layer by layer, in float32.

    Args:
        gradient: by parameter name, `<layer>.weight` [out, in] and, where the layer has one, `<layer>.bias` [out].
        folder: the factors' folder.
        damping: see `Damping`.
        device: where to compute.
        leading: share of each layer's eigenvectors that is kept, see `Inverse`.

    Returns:
        Tensors of the same names and shapes.

    Raises:
        InputError: the factors are missing, damaged, or of other layers.
    """
    factors = load_factors(folder)
    layers = layers_of(gradient)
    check_layers(factors, layers, folder)
    dampings = layer_dampings(factors, damping)
    found: dict[str, torch.Tensor] = {}
    with track("precondition", len(layers), "layers") as tracker:
        for done, layer in enumerate(layers, start=1):
            inverse = Inverse({layer: factors.pop(layer)}, dampings, device, torch.float32, leading)
            matrix = inverse.layer(layer, join_bias(gradient, layer).to(device))
            found.update(split_bias(matrix, layer, f"{layer}.bias" in gradient))
            tracker.update(done, done)
    return found


def check_layers(factors: Mapping[str, Factors], layers: list[str], folder: Path) -> None:
    """Refuse factors that lack a layer.

    Raises:
        InputError: names the first one.
    """
    for layer in layers:
        if layer not in factors:
            raise InputError(f"{folder}: has no factors for layer {layer}; fit them for this model.")


def layers_of(tensors: Mapping[str, torch.Tensor]) -> list[str]:
    """The layers whose weights `tensors` holds, in order."""
    return [name.removesuffix(".weight") for name in tensors if name.endswith(".weight")]


def join_bias(tensors: Mapping[str, torch.Tensor], layer: str) -> torch.Tensor:
    """Weight and bias of a layer as one matrix [out, in + 1] (or [out, in] without a bias)."""
    weight, bias = tensors[f"{layer}.weight"], tensors.get(f"{layer}.bias")
    if bias is None:
        return weight.clone(memory_format=torch.contiguous_format)
    return torch.cat([weight, bias[:, None]], dim=1)


def split_bias(matrix: torch.Tensor, layer: str, has_bias: bool) -> dict[str, torch.Tensor]:
    """The inverse of `join_bias`."""
    if not has_bias:
        return {f"{layer}.weight": matrix}
    return {f"{layer}.weight": matrix[:, :-1].contiguous(), f"{layer}.bias": matrix[:, -1].contiguous()}
