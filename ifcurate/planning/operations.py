"""How many multiplications each stage takes, counted from shapes: what rates of another machine or model come from.

A multiplication stands for one addition too. Norms, activations and softmax are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

from ifcurate.influence.curvature.eigenvalues import is_rotated_first
from ifcurate.planning.shapes import ModelShape

EIGEN = 9
"""Times size cubed: eigenvalues and eigenvectors of a symmetric matrix, divide and conquer (Golub and Van Loan)."""


@dataclass(frozen=True)
class Operations:
    """Multiplications of a model on windows of `length` tokens, per token unless said otherwise."""

    shape: ModelShape
    length: float

    @property
    def body(self) -> float:
        """A forward pass through the blocks, attention over the half of the window that is before a token."""
        linear = sum(count * layer.share * layer.values for layer, count in self.shape.layers.items())
        return linear + self.shape.blocks * self.shape.hidden * self.length

    @property
    def head(self) -> float:
        """All logits of a token."""
        return float(self.shape.hidden * self.shape.vocabulary)

    def fit(self) -> float:
        """Two passes forward and backward to activations alone; covariances in the one, rotations in the other."""
        covariances = rotations = 0.0
        for layer, count in self.shape.layers.items():
            sizes = layer.outputs, layer.inputs
            weight = count * layer.share
            covariances += weight * (sizes[0] ** 2 + layer.is_first * sizes[1] ** 2)
            if is_rotated_first(round(self.length), *sizes):
                rotations += weight * (sizes[0] ** 2 + layer.is_first * sizes[1] ** 2 + sizes[0] * sizes[1])
            else:
                rotations += weight * (layer.values + layer.values * sum(sizes) / self.length)
        return 4 * self.body + 4 * self.head + covariances + rotations

    def decompositions(self) -> float:
        """Of all covariances, once."""
        return EIGEN * sum(count * float(size) ** 3 for size, count in self.shape.matrices.items())

    def query(self) -> float:
        """Of a query: forward, and backward to weights and activations."""
        return 3 * (self.body + self.head)

    def inverse(self) -> float:
        """Of the preconditioned gradient, once: four products a layer."""
        return sum(
            2.0 * count * layer.values * (layer.inputs + layer.outputs) for layer, count in self.shape.layers.items()
        )

    def score(self, engine: str, directions: int) -> float:
        """Of a token's influence along so many directions."""
        return passes(engine, directions) * self.body + 2 * self.head


def passes(engine: str, directions: int) -> float:
    """Forward passes through the blocks that an engine's work amounts to."""
    return {
        "finite-difference": 2.0 * directions,
        "one-sided": 1.0 + directions,
        "jvp": 1.0 + 2 * directions,
        "compiled-jvp": 1.0 + 2 * directions,
        "kronfluence": 2.0 + 2 * directions,
        "student": 1.0,
    }[engine]
