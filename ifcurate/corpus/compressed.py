"""Streams out of and into files, compressed or not."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa

from ifcurate.corpus.sources import open_bytes
from ifcurate.errors import InputError

BUFFER_BYTES = 1 << 20


@contextmanager
def reading_bytes(path: str, compression: str | None) -> Iterator[BinaryIO]:
    """A stream out of a local path or fsspec URL that is compressed as "gzip", "zstd" or not.

    Raises:
        InputError: it is to be compressed, and holds nothing.
    """
    with open_bytes(path) as raw:
        packed = io.BufferedReader(raw, BUFFER_BYTES)
        if compression is None:
            yield cast(BinaryIO, packed)
            return
        if not packed.peek(1):
            raise InputError(f"{path}: is empty, not even a {compression} header; restore or remove it.")
        unpacked = pa.CompressedInputStream(pa.PythonFile(packed, mode="r"), compression)
        yield cast(BinaryIO, io.BufferedReader(unpacked, BUFFER_BYTES))


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
