"""First pass: the covariances of every layer's inputs and of its output gradients, uncentred, summed over tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from ifcurate.influence.curvature.signals import Layer
from ifcurate.model.ranks import Ranks


class Covariances:
    """Sums over tokens, and how many tokens they are.

    `inputs` [in (+ 1), in (+ 1)] by the first of the layers that read the same inputs, a one appended where there is a
    bias; `gradients` [out, out] by layer.
    """

    def __init__(self, layers: Mapping[str, Layer]) -> None:
        self._layers = layers
        self.inputs: dict[str, torch.Tensor] = {}
        self.gradients: dict[str, torch.Tensor] = {}
        self.tokens = 0

    def add(self, layer: str, inputs: torch.Tensor, gradients: torch.Tensor, lengths: Sequence[int]) -> None:
        """Add a batch of one layer, see `OnSignals`."""
        first = self._layers[layer].first_reader
        if layer == first:
            _add_products(self.inputs, first, with_ones(inputs) if self._layers[layer].has_bias else inputs)
        _add_products(self.gradients, layer, gradients)

    def join(self, ranks: Ranks) -> None:
        """Add what the other processes of a launch have."""
        self.inputs, self.gradients = ranks.sum_named(self.inputs), ranks.sum_named(self.gradients)
        self.tokens = sum(ranks.gather(self.tokens))


def with_ones(inputs: torch.Tensor) -> torch.Tensor:
    """Inputs [..., in] with the one that the bias is multiplied with, [..., in + 1]."""
    return torch.cat([inputs, inputs.new_ones(*inputs.shape[:-1], 1)], dim=-1)


def _add_products(sums: dict[str, torch.Tensor], name: str, rows: torch.Tensor) -> None:
    """Add rows^T rows to the matrix `name`."""
    if name not in sums:
        sums[name] = rows.new_zeros(rows.shape[1], rows.shape[1])
    sums[name].addmm_(rows.T, rows)
