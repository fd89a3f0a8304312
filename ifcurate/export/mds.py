"""MosaicML streaming (MDS): samples of `tokens` (int32) and `weights` (float32), one a document.

The layout is that of `streaming.base.format.mds.MDSWriter`, written here because that package cannot be installed
beside transformers 5. A file: number of samples, byte offsets of the samples (both uint32), the columns as JSON, the
samples. A sample: the sizes of its columns (uint32), then their bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ifcurate.export.weights import SIGNED_WEIGHTS, WeightedDocument

SHARD_BYTES = 1 << 26
COLUMNS = {"tokens": "ndarray:int32", "weights": "ndarray:float32"}
_FORMAT = {
    "version": 2,
    "format": "mds",
    "compression": None,
    "hashes": [],
    "size_limit": SHARD_BYTES,
    "column_names": list(COLUMNS),
    "column_encodings": list(COLUMNS.values()),
    "column_sizes": [None] * len(COLUMNS),
}


class MdsExporter:
    """`shard.00000.mds`, ... and `index.json`; see `documents.Exporter`. Shards are cut by size, not by input."""

    carries: str = SIGNED_WEIGHTS

    def __init__(self, folder: Path, token_dtype: np.dtype[Any], penalties: Iterable[float]) -> None:
        del token_dtype, penalties  # int32 and float32 hold them all
        self._folder = folder
        self._samples: list[bytes] = []
        self._bytes = 0
        self._shards: list[dict[str, Any]] = []

    def write(self, name: str, documents: Iterable[WeightedDocument]) -> None:
        """See `Exporter.write`."""
        del name
        for document in documents:
            columns = [_encoded(document.token_ids), _encoded(document.weights)]
            sample = np.array([len(column) for column in columns], dtype="<u4").tobytes() + b"".join(columns)
            if self._samples and self._bytes + len(sample) > SHARD_BYTES:
                self._flush()
            self._samples.append(sample)
            self._bytes += len(sample)

    def finish(self) -> None:
        """Write the last shard and the index."""
        if self._samples:
            self._flush()
        (self._folder / "index.json").write_text(json.dumps({"version": 2, "shards": self._shards}, sort_keys=True))

    def _flush(self) -> None:
        columns = json.dumps(_FORMAT, sort_keys=True).encode()
        sizes = np.array([0, *(len(sample) for sample in self._samples)], dtype=np.int64)
        header = 4 + 4 * len(sizes) + len(columns)
        offsets = (np.cumsum(sizes) + header).astype("<u4")
        name = f"shard.{len(self._shards):05}.mds"
        content = np.array([len(self._samples)], dtype="<u4").tobytes() + offsets.tobytes() + columns
        content += b"".join(self._samples)
        (self._folder / name).write_bytes(content)
        described = {"basename": name, "bytes": len(content), "hashes": {}}
        self._shards.append({**_FORMAT, "raw_data": described, "zip_data": None, "samples": len(self._samples)})
        self._samples, self._bytes = [], 0


def _encoded(values: NDArray[Any]) -> bytes:
    """A one-dimensional array of the column's dtype: dimensions and width of the length in a byte, length, values."""
    width = next(width for width in range(4) if len(values) < 1 << (8 << width))
    length = len(values).to_bytes(1 << width, "little")
    return bytes([1 << 2 | width]) + length + values.tobytes()
