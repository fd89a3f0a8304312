"""Megatron: an indexed data set of tokens, and another of weights with the same index.

The `.idx` layout is that of `megatron.core.datasets.indexed_dataset`: a magic number, version 1, the dtype's code, the
numbers of sequences and of document borders, then lengths (int32), byte offsets (int64) and borders (int64).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ifcurate.export.weights import SIGNED_WEIGHTS, WeightedDocument

MAGIC = b"MMIDIDX\x00\x00"
VERSION = 1
DTYPE_CODES = {"int32": 4, "float32": 7, "uint16": 8}


Columns = Mapping[str, tuple[np.dtype[Any], Callable[[WeightedDocument], NDArray[Any]]]]
"""Name of an indexed data set -> the type of its values, and what they are of a document."""


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
        columns: Columns = {
            f"{name}_document": (self._dtype, lambda document: document.token_ids),
            f"{name}_weights": (np.dtype(np.float32), lambda document: document.weights),
        }
        write_documents(self._folder, columns, documents)

    def finish(self) -> None:
        """See `Exporter.finish`; nothing to add."""


def write_documents(folder: Path, columns: Columns, documents: Iterable[WeightedDocument]) -> None:
    """Write an indexed data set for every one of `columns`, all with the same documents of the same lengths."""
    paths = {folder / f"{name}.bin": column for name, column in columns.items()}
    lengths = []
    with ExitStack() as stack:
        files = []
        for path, column in paths.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            files.append((stack.enter_context(path.open("wb")), *column))
        for document in documents:
            lengths.append(len(document.token_ids))
            for file, dtype, values in files:
                file.write(values(document).astype(dtype).tobytes())
    for path, (dtype, _) in paths.items():
        _write_index(path.with_name(path.name.removesuffix(".bin") + ".idx"), lengths, dtype)


def _write_index(path: Path, lengths: Sequence[int], dtype: np.dtype[Any]) -> None:
    sizes = np.array(lengths, dtype=np.int64)
    offsets = (np.cumsum(sizes) - sizes) * dtype.itemsize
    borders = np.arange(len(sizes) + 1, dtype=np.int64)
    with path.open("wb") as stream:
        stream.write(MAGIC + struct.pack("<QB", VERSION, DTYPE_CODES[dtype.name]))
        stream.write(struct.pack("<QQ", len(sizes), len(borders)))
        for values in (sizes.astype(np.int32), offsets, borders):
            stream.write(values.tobytes())
