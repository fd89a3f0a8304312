"""Numbers of a whole corpus, counted into as many bins as a chart can show.

Both axes of influence are stretched by asinh: linear around 0, logarithmic far from it, of either sign.
"""

from __future__ import annotations

import math
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from ifcurate.selection.quantile import Histogram, value_of

BARS = 96
CELLS = (48, 32)
_MIDDLE = 1 << 15
_STEEPEST = 1000
"""The largest score over the one up to which the axis is nearly linear."""


def influence_bars(histogram: Histogram) -> dict[str, Any]:
    """Counts of influence in `BARS` bars of equal width over asinh(influence / scale).

    A bin of the histogram, less than 1 % of its value wide, counts in the bar that its middle is in.
    """
    bins = np.flatnonzero(histogram.counts)
    counts = histogram.counts[bins]
    values = np.array([value_of((int(bin_) << 16) | _MIDDLE) for bin_ in bins])
    values[np.abs(values) < np.finfo(np.float32).tiny] = 0
    scale = _middle_half(values, counts)
    positions = np.arcsinh(values / scale)
    low, high = float(positions[0]), float(positions[-1])
    high = high if high > low else low + 1
    found, _ = np.histogram(positions, bins=BARS, range=(low, high), weights=counts)
    return {"scale": scale, "low": low, "high": high, "counts": [int(count) for count in found]}


def _middle_half(values: NDArray[np.float64], counts: NDArray[np.int64]) -> float:
    """Half of the values, sorted, lie within plus and minus this; 1 where that is 0."""
    order = np.argsort(np.abs(values))
    middle = int(np.searchsorted(np.cumsum(counts[order]), counts.sum() / 2))
    return abs(float(values[order][middle])) or 1.0


def sparsity_against_score(database: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """Documents with a token above tau, counted in cells of log(sparsity) and asinh(score / scale).

    Args:
        database: with the table `documents` that `ranked_documents` left in it.

    Returns:
        `cells`: column, row, documents, and how many of them have a token selected; `without`: documents that have no
        token above tau and are in no cell.
    """
    [(without,)] = database.execute("SELECT count(*) FROM documents WHERE sparsity = 0").fetchall()
    extent = "SELECT max(sparsity), min(score), max(score), max(abs(score)) FROM documents WHERE sparsity > 0"
    [(most, low, high, largest)] = database.execute(extent).fetchall()
    if most is None:
        return {"without": int(without), "cells": []}
    scale = (largest or 1.0) / _STEEPEST
    right, bottom, top = math.log(most) or 1.0, math.asinh(low / scale), math.asinh(high / scale)
    cell = "least(floor({} * {}), {} - 1)::INTEGER"
    column = cell.format("ln(sparsity::DOUBLE) / $right", CELLS[0], CELLS[0])
    row = cell.format("(asinh(score / $scale) - $bottom) / $height", CELLS[1], CELLS[1])
    found = database.execute(
        f"SELECT {column} AS i, {row} AS j, count(*), count(*) FILTER (WHERE selected > 0) FROM documents "
        "WHERE sparsity > 0 GROUP BY i, j ORDER BY i, j",
        {"right": right, "scale": scale, "bottom": bottom, "height": (top - bottom) or 1.0},
    ).fetchall()
    return {
        "without": int(without),
        "columns": CELLS[0],
        "rows": CELLS[1],
        "most": int(most),
        "scale": scale,
        "bottom": bottom,
        "top": top if top > bottom else bottom + 1.0,
        "cells": [list(cell) for cell in found],
    }
