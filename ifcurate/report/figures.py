"""Figures of a published data set: how influence is spread, and where the marked tokens lie."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ifcurate.corpus.parquet import ParquetReader
from ifcurate.errors import InputError
from ifcurate.files import finishing
from ifcurate.selection.quantile import BINS, Histogram, value_of

BARS = 100
SHOWN = 0.999
"""Share of the tokens whose influence is drawn; the others are added to the outermost bars."""
SORT_MEMORY = "512MB"


def draw_influence(histogram: Histogram, tau: float, label: str, path: Path) -> None:
    """How many tokens have which influence, which `label` names, and where tau is, as PNG.

    Raises:
        InputError: matplotlib is not installed.
    """
    centres, counts = influence_bars(histogram)
    with _axes(path) as axes:
        axes.bar(centres, counts, width=centres[1] - centres[0], label="tokens")
        axes.axvline(tau, color="C3", label=f"tau = {tau:.4g}")
        axes.set(yscale="log", xlabel=label, ylabel="tokens")
        axes.legend()


def influence_bars(histogram: Histogram) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Centres and heights of `BARS` bars of equal width; every token that was counted is in one."""
    occupied = np.flatnonzero(histogram.counts)
    values = np.array([value_of(min(int(bin_) << 16 | 1 << 15, (BINS << 16) - 1)) for bin_ in occupied])
    counts = histogram.counts[occupied]
    share = np.cumsum(counts) / counts.sum()
    low, high = (values[min(int(np.searchsorted(share, at)), len(values) - 1)] for at in (1 - SHOWN, SHOWN))
    if low == high:
        low, high = low - 0.5, high + 0.5
    heights, edges = np.histogram(values.clip(low, high), bins=BARS, range=(low, high), weights=counts)
    return (edges[1:] + edges[:-1]) / 2, heights.astype(np.int64)


def draw_documents(records: Path, behaviour: str, path: Path) -> None:
    """Which share of the tokens is marked in documents of high and of low rank, as PNG.

    Args:
        records: `selection/<behaviour>.parquet`, one row a record.
        behaviour: what was selected.
        path: of the figure.

    Raises:
        InputError: matplotlib is not installed.
    """
    shares = marked_shares(records)
    with _axes(path) as axes:
        axes.bar((np.arange(len(shares)) + 0.5) * 100 / len(shares), 100 * shares, width=100 / len(shares))
        axes.set(xlabel=f"records by {behaviour} rank, the highest first, %", ylabel="of their tokens marked, %")


def marked_shares(records: Path) -> NDArray[np.float64]:
    """Marked tokens over all tokens, of records in the order of their ranks cut into at most `BARS` equal parts."""
    reader = ParquetReader(str(records))
    order = 'ORDER BY rank DESC, shard, row, "window"'
    parts = f"SELECT selected, tokens, ntile({BARS}) OVER ({order}) AS part FROM records"
    query = f"SELECT sum(selected) / greatest(sum(tokens), 1) FROM ({parts}) GROUP BY part ORDER BY part"
    with duckdb.connect(config={"memory_limit": SORT_MEMORY, "threads": 2}) as database:
        database.register("records", pa.RecordBatchReader.from_batches(reader.schema, reader.batches()))
        return np.array([share for (share,) in database.execute(query).fetchall()], dtype=np.float64)


@contextmanager
def _axes(path: Path) -> Iterator[Any]:
    """Axes whose figure becomes the PNG `path`; the same drawing gives the same bytes."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError(
            "the figures need matplotlib; run `pip install 'ifcurate[eval]'`, or give --no-figures."
        ) from error
    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.subplots()
    yield axes
    axes.grid(alpha=0.3)
    with finishing(path) as part:
        figure.savefig(part, format="png", dpi=120, metadata={"Software": None})
