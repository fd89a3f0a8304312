"""Megatron: an indexed data set of tokens, and another of weights with the same index.

The `.idx` layout is that of `megatron.core.datasets.indexed_dataset`: a magic number, version 1, the dtype's code, the
numbers of sequences and of document borders, then lengths (int32), byte offsets (int64) and borders (int64).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ifcurate.export.weights import SIGNED_WEIGHTS, WeightedDocument

MAGIC = b"MMIDIDX\x00\x00"
VERSION = 1
DTYPE_CODES = {"int32": 4, "float32": 7, "uint16": 8}


class MegatronExporter:
    """`<shard>_document.{bin,idx}` and `<shard>_weights.{bin,idx}`; see `documents.Exporter`.

    Tokens are uint16, or int32 where the vocabulary is larger; weights are float32.
    """

    carries: str = f"{SIGNED_WEIGHTS}, in a second indexed data set that reads with the same index"

    def __init__(self, folder: Path, token_dtype: np.dtype[Any], penalties: Iterable[float]) -> None:
        del penalties  # float32 holds them all
        self._folder = folder
        self._dtype = np.dtype(np.uint16 if token_dtype == np.uint16 else np.int32)

    def write(self, name: str, documents: Iterable[WeightedDocument]) -> None:
        """See `Exporter.write`."""
        tokens_path, weights_path = (self._folder / f"{name}_{kind}.bin" for kind in ("document", "weights"))
        tokens_path.parent.mkdir(parents=True, exist_ok=True)
        lengths = []
        with tokens_path.open("wb") as tokens, weights_path.open("wb") as weights:
            for document in documents:
                lengths.append(len(document.token_ids))
                tokens.write(document.token_ids.astype(self._dtype).tobytes())
                weights.write(document.weights.tobytes())
        _write_index(tokens_path.with_suffix(".idx"), lengths, self._dtype)
        _write_index(weights_path.with_suffix(".idx"), lengths, np.dtype(np.float32))

    def finish(self) -> None:
        """See `Exporter.finish`; nothing to add."""


def _write_index(path: Path, lengths: Sequence[int], dtype: np.dtype[Any]) -> None:
    sizes = np.array(lengths, dtype=np.int64)
    offsets = (np.cumsum(sizes) - sizes) * dtype.itemsize
    borders = np.arange(len(sizes) + 1, dtype=np.int64)
    with path.open("wb") as stream:
        stream.write(MAGIC + struct.pack("<QB", VERSION, DTYPE_CODES[dtype.name]))
        stream.write(struct.pack("<QQ", len(sizes), len(borders)))
        for values in (sizes.astype(np.int32), offsets, borders):
            stream.write(values.tobytes())
