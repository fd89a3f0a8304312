"""Reads with MosaicML's `StreamingDataset`, whose shards are cut by size: the first samples are the first documents."""

from __future__ import annotations

from itertools import accumulate
from pathlib import Path

import numpy as np

from ifcurate.export.readback.batch import Batch


def read(folder: Path, shard: str, most: int) -> Batch:
    """The first documents of all, at most `most` tokens of them."""
    from streaming import StreamingDataset

    del shard
    samples = []
    for sample in StreamingDataset(local=str(folder), shuffle=False, batch_size=1):
        samples.append(sample)
        if list(accumulate(len(one["tokens"]) for one in samples))[-1] >= most:
            break
    tokens, weights = (np.concatenate([sample[name] for sample in samples])[:most] for name in ("tokens", "weights"))
    return Batch(tokens.astype(np.int64), weights, None)
