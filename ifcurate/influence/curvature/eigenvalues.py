"""Second pass: corrected eigenvalues, the mean over windows of a gradient's squared entries in the eigenbasis.

A window's gradient in the eigenbasis is Q_out^T (gradients^T inputs) Q_in. Short windows are rotated first and
multiplied then, long ones multiplied first: the same matrix by the cheaper of both orders (George et al. 2018).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from ifcurate.influence.curvature.covariances import with_ones
from ifcurate.influence.curvature.signals import Layer
from ifcurate.model.ranks import Ranks

CACHED_VALUES = 1 << 18
"""Of a gradient that are squared at once on a CPU: what its cache holds."""


def is_rotated_first(tokens: int, size_out: int, size_in: int) -> bool:
    """Whether rotating a window's inputs and gradients takes fewer operations than rotating their product.

    First: tokens x (in^2 + out^2 + in x out); product first: tokens x in x out + in x out x (in + out).
    """
    return tokens * (size_out**2 + size_in**2) < size_out * size_in * (size_out + size_in)


class CorrectedEigenvalues:
    """`sums` float32 [out, in (+ 1)] by layer, over `windows` windows."""

    def __init__(
        self,
        layers: Mapping[str, Layer],
        input_vectors: Mapping[str, torch.Tensor],
        gradient_vectors: Mapping[str, torch.Tensor],
    ) -> None:
        """`input_vectors` by the first of the layers that read the same inputs, `gradient_vectors` by layer."""
        self._layers = layers
        self._input_vectors, self._gradient_vectors = input_vectors, gradient_vectors
        self._rotated: tuple[str, torch.Tensor] | None = None
        self.sums: dict[str, torch.Tensor] = {}
        self.windows = 0

    def add(self, layer: str, inputs: torch.Tensor, gradients: torch.Tensor, lengths: Sequence[int]) -> None:
        """Add a batch of one layer, see `OnSignals`."""
        first = self._layers[layer].first_reader
        basis_out, basis_in = self._gradient_vectors[layer], self._input_vectors[first]
        sums = self.sums.setdefault(layer, basis_out.new_zeros(len(basis_out), len(basis_in)))
        short = [is_rotated_first(tokens, *sums.shape) for tokens in lengths]
        if any(short):
            inputs_turned, gradients_turned = self._turned(first, layer, inputs), gradients @ basis_out
        begin = 0
        for tokens, rotate_first in zip(lengths, short, strict=True):
            place = slice(begin, begin + tokens)
            begin += tokens
            if rotate_first:
                _add_squares(sums, gradients_turned[place], inputs_turned[place])
            else:
                whole = self._whole(layer, inputs[place])
                _add_rotated_squares(sums, gradients[place], whole, (basis_out, basis_in))

    def join(self, ranks: Ranks) -> None:
        """Add what the other processes of a launch have."""
        self.sums = ranks.sum_named(self.sums)
        self.windows = sum(ranks.gather(self.windows))

    def forget(self) -> None:
        """Let go of what a batch left: call it between batches."""
        self._rotated = None

    def _whole(self, layer: str, inputs: torch.Tensor) -> torch.Tensor:
        return with_ones(inputs) if self._layers[layer].has_bias else inputs

    def _turned(self, first: str, layer: str, inputs: torch.Tensor) -> torch.Tensor:
        """Inputs in their eigenbasis: computed once for the layers that share them, which come one after the other."""
        if self._rotated is None or self._rotated[0] != first:
            self._rotated = first, self._whole(layer, inputs) @ self._input_vectors[first]
        return self._rotated[1]


def _add_squares(sums: torch.Tensor, gradients: torch.Tensor, inputs: torch.Tensor) -> None:
    """Add the squared entries of gradients^T inputs, [tokens, out] and [tokens, in], to `sums` [out, in]."""
    rows = len(sums) if sums.is_cuda else max(1, CACHED_VALUES // sums.shape[1])
    for part, place in zip(gradients.split(rows, dim=1), sums.split(rows), strict=True):
        products = part.T @ inputs
        place.addcmul_(products, products)


def _add_rotated_squares(
    sums: torch.Tensor,
    gradients: torch.Tensor,
    inputs: torch.Tensor,
    basis: tuple[torch.Tensor, torch.Tensor],
) -> None:
    """The same for gradients and inputs that are not rotated yet; `basis` of outputs and of inputs."""
    turned = basis[0].T @ (gradients.T @ inputs) @ basis[1]
    sums.addcmul_(turned, turned)
