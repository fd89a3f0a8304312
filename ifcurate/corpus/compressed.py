"""Streams into files, compressed as their names say."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa


@contextmanager
def writing_bytes(path: Path, suffix: str) -> Iterator[BinaryIO]:
    """A stream into `path`, compressed as `suffix` ends (`.gz`, `.zst`); the same bytes at any time of day."""
    if suffix.endswith(".zst"):
        with pa.CompressedOutputStream(pa.OSFile(str(path), "wb"), "zstd") as packed:
            yield cast(BinaryIO, packed)
        return
    with path.open("wb") as plain:
        if suffix.endswith(".gz"):
            with gzip.GzipFile(filename="", mode="wb", fileobj=plain, mtime=0) as zipped:
                yield cast(BinaryIO, zipped)
        else:
            yield plain
