"""Reads both indexed data sets with Megatron-core's `IndexedDataset`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ifcurate.export.readback.batch import Batch


def read(folder: Path, shard: str, most: int) -> Batch:
    """The first documents, at most `most` tokens of them."""
    from megatron.core.datasets.indexed_dataset import IndexedDataset

    documents, weights = (IndexedDataset(str(folder / f"{shard}_{kind}")) for kind in ("document", "weights"))
    lengths = np.cumsum(documents.sequence_lengths)
    rows = range(max(1, int(np.searchsorted(lengths, most, side="right"))))
    return Batch(
        np.concatenate([np.asarray(documents[row], np.int64) for row in rows])[:most],
        np.concatenate([np.asarray(weights[row], np.float32) for row in rows])[:most],
        None,
    )
