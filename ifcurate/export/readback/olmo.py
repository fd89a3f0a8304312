"""Reads with OLMo-core's `NumpyFSLDataset`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ifcurate.export.readback.batch import Batch, windows

LENGTH = 256
"""Of a sequence."""


def read(folder: Path, shard: str, most: int) -> Batch:
    """Whole sequences of at most `most` tokens together."""
    from olmo_core.data import NumpyFSLDataset

    tokens, mask = (folder / kind / f"{shard}.npy" for kind in ("tokens", "label_mask"))
    count = mask.stat().st_size
    dtype = {2: np.uint16, 4: np.uint32}[tokens.stat().st_size // count]
    length = min(LENGTH, count)
    dataset = NumpyFSLDataset(
        str(tokens),
        sequence_length=length,
        pad_token_id=0,
        eos_token_id=0,
        vocab_size=np.iinfo(dtype).max,
        dtype=dtype,
        label_mask_paths=[str(mask)],
    )
    items = [dataset[index] for index in range(min(len(dataset), max(1, most // length)))]
    kept = windows([item["label_mask"] for item in items], length).astype(np.bool_)
    return Batch(windows([item["input_ids"] for item in items], length), None, kept)
