"""Bytes from anywhere: local paths and fsspec URLs, opened so that every failure names the file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import RawIOBase
from typing import cast

import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem

from ifcurate.errors import InputError, first_line
from ifcurate.storage.filesystems import located
from ifcurate.storage.remote_file import RemoteFile

BATCH_ROWS = 4096
"""Most rows of a record batch."""

BATCH_BYTES = 8 << 20
"""Aimed-at size of a record batch, so that long documents come in batches of few rows."""


@contextmanager
def open_bytes(path: str) -> Iterator[RawIOBase]:
    """Open a local path or fsspec URL for reading, uncached: readers here buffer for themselves."""
    filesystem, inner = located(path)
    if isinstance(filesystem, LocalFileSystem):
        with filesystem.open(inner, "rb", cache_type="none") as stream:
            yield cast(RawIOBase, stream)
        return
    with RemoteFile(filesystem, inner) as remote:
        yield remote


@contextmanager
def reading(path: str, kind: str) -> Iterator[None]:
    """Turn whatever goes wrong while `path` is read as `kind` ("Parquet", "gzip", ...) into one sentence.

    Raises:
        InputError: names the file and the reason.
    """
    try:
        yield
    except (pa.ArrowException, OSError, MemoryError, ValueError) as error:
        raise InputError(
            f"{path}: cannot be read as {kind} ({first_line(error)}); restore or remove this file."
        ) from error
