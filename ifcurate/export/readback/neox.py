"""Reads the tokens and labels of GPT-NeoX, which is no package, by the layout of their files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ifcurate.export.readback.batch import Batch
from ifcurate.training.penalty import IGNORED

HEADER_BEFORE_CODE = 17
DTYPES = {4: np.int32, 8: np.uint16}


def read(folder: Path, shard: str, most: int) -> Batch:
    """The first `most` tokens, and which of their labels are left.

    Raises:
        ValueError: a label that is left is another token than the one it is of.
    """
    tokens, labels = (_values(folder / f"{shard}_{kind}_document", most) for kind in ("text", "label"))
    kept = labels != IGNORED
    if not np.array_equal(tokens[kept], labels[kept]):
        raise ValueError(f"{folder}, shard {shard}: labels are other tokens than those they are of")
    return Batch(tokens, None, kept)


def _values(prefix: Path, most: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    index = Path(f"{prefix}.idx").read_bytes()
    return np.fromfile(f"{prefix}.bin", DTYPES[index[HEADER_BEFORE_CODE]], most).astype(np.int64)
