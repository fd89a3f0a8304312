"""Reads with `datasets`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ifcurate.export.readback.batch import Batch
from ifcurate.training.packing import INPUT_IDS
from ifcurate.training.token_columns import LOSS_WEIGHTS


def stream(folder: Path, shard: str) -> Any:
    """The rows of one shard below `data/`, without a copy in any cache."""
    from datasets import load_dataset

    return load_dataset("parquet", data_files=str(folder / "data" / f"{shard}.parquet"), split="train", streaming=True)


def read(folder: Path, shard: str, most: int) -> Batch:
    """The first documents, at most `most` tokens of them."""
    tokens: list[int] = []
    weights: list[float] = []
    for row in stream(folder, shard):
        tokens += row[INPUT_IDS]
        weights += row[LOSS_WEIGHTS]
        if len(tokens) >= most:
            break
    return Batch(np.array(tokens[:most], np.int64), np.array(weights[:most], np.float32), None)
