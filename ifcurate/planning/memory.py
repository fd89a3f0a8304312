"""What a process of each stage holds at its peak, from shapes: the same estimate before any weight is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ifcurate.planning.shapes import ModelShape

PROCESS_BYTES = 850 << 20
"""Resident before a model is loaded: Python, PyTorch, transformers and Arrow, pages of their files included."""
FLOAT, DOUBLE = 4, 8
KEPT_WIDTHS, KEPT_INNER_WIDTHS = 9, 5
"""Tensors that a decoder block keeps for its backward pass, in widths of its features and of its widest tensor."""
FIT_KEEPS = 1.6
"""Times as much is held while the curvature is fitted, which copies what flows through its layers."""
LOGITS_BYTES = 64 << 20
"""Of the logits that are held at once, with their softmax and its sums."""
WORKSPACE = 4
"""Matrices of float64 that one decomposition holds: the covariance, its symmetric mean, vectors and their workspace."""


@dataclass(frozen=True)
class Peak:
    """Bytes of one process, `PROCESS_BYTES` apart, and of what most of them are."""

    bytes: int
    mostly: str


def fit_peak(shape: ModelShape, positions: int, decomposed: int, copies: int) -> Peak:
    """Of fitting, with the model in float32: the passes, the decompositions, or the copies that are stored.

    Args:
        shape: of the model.
        positions: of a batch.
        decomposed: bytes of the matrices of float64 that are decomposed at a time.
        copies: of the vectors that are made to be stored: `vectors_bytes`, or 0 on a GPU, where none are made.
    """
    activations = round(FIT_KEEPS * kept(shape, positions))
    squares = sum(count * size**2 for size, count in shape.matrices.items())
    covariances = vectors = FLOAT * squares
    eigenvalues = FLOAT * sum(count * layer.values for layer, count in shape.layers.items())
    candidates = {
        "covariances, eigenvectors and eigenvalues": covariances + vectors + eigenvalues + activations,
        "decompositions": covariances + vectors + WORKSPACE * decomposed,
        "factors that are written": vectors + eigenvalues + copies,
    }
    return _highest(FLOAT * shape.parameters, candidates)


def direct_peak(shape: ModelShape, positions: int, factors: int) -> Peak:
    """Of a direction: gradients of the queries, summed in float64, or the `factors` that are read with the gradient."""
    gradients = shape.tracked * (DOUBLE + 2 * FLOAT)
    candidates = {
        "gradients of the queries": gradients + kept(shape, positions),
        "factors": factors + 3 * FLOAT * shape.tracked,
    }
    return _highest(FLOAT * shape.parameters, candidates)


def matrices_bytes(shape: ModelShape, at_once: int) -> int:
    """Of so many of the largest matrices in float64."""
    return at_once * DOUBLE * max(shape.matrices) ** 2


def vectors_bytes(shape: ModelShape) -> int:
    """Of the eigenvectors as they are stored, where layers that read the same inputs have a copy each."""
    return FLOAT * sum(count * (layer.inputs**2 + layer.outputs**2) for layer, count in shape.layers.items())


def kept(shape: ModelShape, positions: int) -> int:
    """Activations of a batch that a backward pass needs, in float32."""
    block = KEPT_WIDTHS * shape.hidden + KEPT_INNER_WIDTHS * shape.inner
    return FLOAT * positions * shape.blocks * block + LOGITS_BYTES


def largest_that_fits(peak: Callable[[int], Peak], positions: int, fewest: int, room: int) -> tuple[int, Peak]:
    """The positions of a batch, halved from `positions` as far as `fewest`, until the peak fits; and that peak."""
    found = peak(positions)
    while found.bytes > room and positions > fewest:
        positions = max(fewest, positions // 2)
        found = peak(positions)
    return positions, found


def _highest(held: int, candidates: dict[str, int]) -> Peak:
    mostly = max(candidates, key=candidates.__getitem__)
    return Peak(held + candidates[mostly], mostly)
