"""The damped system (G + D) v = g: what every method of refinement works on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from ifcurate.influence.curvature.inverse import Inverse
from ifcurate.influence.refinement.gauss_newton import GaussNewton
from ifcurate.influence.refinement.vectors import Vector, dot
from ifcurate.model.windows import Window


@dataclass(frozen=True)
class System:
    """What is solved, and on which text.

    Attributes:
        gauss_newton: products with G.
        dampings: D by layer.
        inverse: EK-FAC's inverse with the same dampings.
        gradient: g.
        samples: the windows of each step, used in turn.
    """

    gauss_newton: GaussNewton
    dampings: Mapping[str, float]
    inverse: Inverse
    gradient: Vector
    samples: Sequence[Sequence[Window]]

    def product(self, vector: Vector, step: int) -> Vector:
        """(G + D) v over the sample of `step`."""
        found = self.gauss_newton.product(vector, self.samples[step % len(self.samples)])
        return {layer: torch.add(found[layer], vector[layer], alpha=self.dampings[layer]) for layer in found}

    def precondition(self, vector: Vector) -> Vector:
        """EK-FAC's (H + D)^-1 v."""
        return {layer: self.inverse.layer(layer, matrix) for layer, matrix in vector.items()}

    def quadratic(self, vector: Vector, product: Vector) -> float:
        """v^T (G + D) v / 2 - g^T v, from v and (G + D) v: smallest where the system is solved."""
        return dot(vector, product) / 2 - dot(self.gradient, vector)
