"""What decompositions, products with factors and their storing take on this machine: the same for any text."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch

from ifcurate.files import sha256_of
from ifcurate.planning.durations import Took, clocked
from ifcurate.planning.shapes import ModelShape

LARGEST_MATRIX = 2048
"""Whose decomposition is timed; larger ones take time in proportion to size cubed."""
STORED_BYTES = 64 << 20
"""Written and hashed to time the storing of factors."""


def decomposition(size: int, count: int) -> Took:
    """Of `count` matrices, one thread each: one is timed."""
    timed = min(size, LARGEST_MATRIX)
    rows = torch.randn(timed, timed, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    matrix = rows.T @ rows
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        _, took = clocked(lambda: torch.linalg.eigh(matrix))
    finally:
        torch.set_num_threads(threads)
    return took.times(count * (size / timed) ** 3)


def solving(shape: ModelShape) -> Took:
    """Four products a layer: one shape of them is timed, the others follow by their multiplications."""
    layer = max(shape.layers, key=lambda each: min(each.values, LARGEST_MATRIX**2))
    left, right = torch.randn(layer.outputs, layer.outputs), torch.randn(layer.inputs, layer.inputs)
    matrix = torch.randn(layer.outputs, layer.inputs)
    _, took = clocked(lambda: left @ (left.T @ matrix @ right) @ right.T)
    work = sum(count * each.values * (each.inputs + each.outputs) for each, count in shape.layers.items())
    return took.times(work / (layer.values * (layer.inputs + layer.outputs)))


def storing() -> Took:
    """A byte of factors: copied, written, and hashed."""
    values = torch.randn(STORED_BYTES // 4)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "factors")

        def store() -> None:
            file.write_bytes(values.clone().numpy().tobytes())
            sha256_of(file)

        _, took = clocked(store)
    return took.times(1 / STORED_BYTES)
