"""An export for datatrove, read back with its `DatatroveFileDataset`, and the weights with ours."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ifcurate.export.datatrove import WeightedTokens
from ifcurate.export.readback.batch import Batch, windows
from ifcurate.training.token_columns import LOSS_WEIGHTS


def read(folder: Path, shard: str, most: int) -> Batch:
    """One window of at most `most` tokens, and the drop mask of as many."""
    from datatrove.utils.dataset import DatatroveFileDataset

    path = folder / f"{shard}.ds"
    kept = np.fromfile(f"{path}.loss", dtype=np.bool_, count=most)
    size = path.stat().st_size // Path(f"{path}.loss").stat().st_size
    theirs = DatatroveFileDataset(str(path), seq_len=len(kept) - 1, token_size=size)
    ours = WeightedTokens(path, len(kept) - 1, size)
    weights = ours[0][LOSS_WEIGHTS].numpy()
    return Batch(windows([theirs[0]["input_ids"]], len(kept)), weights, kept)
