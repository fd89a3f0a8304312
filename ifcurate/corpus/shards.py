"""Shards: the files of a corpus, found by path, folder, glob or URL, and opened whatever their format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import pyarrow as pa
from fsspec import AbstractFileSystem
from fsspec.core import has_magic, url_to_fs
from fsspec.implementations.local import LocalFileSystem

from ifcurate.corpus.jsonl import JsonlReader
from ifcurate.corpus.parquet import ParquetReader
from ifcurate.corpus.sources import BATCH_ROWS
from ifcurate.errors import InputError, first_line

FORMATS = (".parquet", ".jsonl", ".jsonl.gz", ".jsonl.zst")
_COMPRESSION = {".jsonl": None, ".jsonl.gz": "gzip", ".jsonl.zst": "zstd"}
_ADVICE = f"give a file, folder or glob of {', '.join(FORMATS)}"


@dataclass(frozen=True, order=True)
class Shard:
    """One file of a corpus.

    Attributes:
        name: path below the listed folder without the format's suffix, such as `sub/train-00000`; unique in a listing.
        path: where it is: a local path or an fsspec URL.
        format: one of `FORMATS`.
        size: bytes as stored.
    """

    name: str
    path: str
    format: str
    size: int

    def output(self, folder: Path) -> Path:
        """Where what belongs to this shard goes below `folder`: the same name, as Parquet."""
        return folder / f"{self.name}.parquet"


class ShardReader(Protocol):
    """What `open_shard` returns; opening it again for every iteration, it can be read many times."""

    schema: pa.Schema
    num_rows: int

    def batches(self, columns: Sequence[str] | None = None, rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """The rows in order, in batches of at most `rows` rows and bounded size; `columns` picks some."""


def open_shard(shard: Shard) -> ShardReader:
    """A reader of `shard`. Parquet: reads the footer. JSON Lines: reads the file once for its schema and row count.

    Raises:
        InputError: the file is corrupt, truncated, or its lines do not fit one schema.
    """
    if shard.format == ".parquet":
        return ParquetReader(shard.path)
    return JsonlReader(shard.path, _COMPRESSION[shard.format])


def list_shards(source: str) -> list[Shard]:
    """The shards at `source`, sorted by name.

    `source` is a file, a folder (searched recursively) or a glob, on disk or as an fsspec URL. Files of other formats
    and hidden ones (a file or folder whose name starts with a dot, as in `.cache/`) are no shards.

    Raises:
        InputError: the location cannot be read, holds no shard, or holds two of the same name.
    """
    try:
        filesystem, path = url_to_fs(source)
        root, found = _find(filesystem, path)
    except Exception as error:  # every fsspec backend raises its own kinds
        raise InputError(f"{source}: cannot be listed ({first_line(error)}); {_ADVICE}.") from error
    shards = [shard for info in found if (shard := _shard(filesystem, root, info)) is not None]
    if not shards:
        what = "holds no file of a supported format" if found else "there is no such file or folder, or it is empty"
        raise InputError(f"{source}: {what}; {_ADVICE}.")
    shards.sort()
    for one, other in pairwise(shards):
        if one.name == other.name:
            raise InputError(
                f"{one.path} and {other.path} have the same name but for the format and would write the same output; "
                "rename or remove one."
            )
    return shards


def _find(filesystem: AbstractFileSystem, path: str) -> tuple[str, list[dict[str, Any]]]:
    """The folder that names are relative to, and every file at `path` as fsspec's info."""
    # fsspec's walk leaves out folders that it may not read; on local disks it can be told not to.
    strict = {"on_error": "raise"} if isinstance(filesystem, LocalFileSystem) else {}
    if filesystem.exists(path):
        info = filesystem.info(path)
        if info["type"] != "directory":
            return filesystem._parent(path), [info]
        return path, list(filesystem.find(path, detail=True, **strict).values())
    if not has_magic(path):
        return path, []
    matches = filesystem.glob(path, detail=True)
    files: dict[str, dict[str, Any]] = {}
    for match, info in matches.items():
        inside = filesystem.find(match, detail=True, **strict) if info["type"] == "directory" else {match: info}
        files.update(inside)
    fixed = path
    while has_magic(fixed):
        fixed = filesystem._parent(fixed)
    return fixed, list(files.values())


def _shard(filesystem: AbstractFileSystem, root: str, info: dict[str, Any]) -> Shard | None:
    path = str(info["name"])
    relative = path.removeprefix(root.rstrip("/")).lstrip("/")
    suffix = next((suffix for suffix in FORMATS if relative.endswith(suffix)), None)
    if suffix is None or any(part.startswith(".") for part in PurePosixPath(relative).parts):
        return None
    local = isinstance(filesystem, LocalFileSystem)
    address = path if local else filesystem.unstrip_protocol(path)
    return Shard(relative.removesuffix(suffix), address, suffix, int(info["size"]))


def corpus_fingerprint(shards: Sequence[Shard]) -> dict[str, Any]:
    """Number, bytes and a hash of names and sizes of the shards: enough to notice another corpus."""
    listing = "\n".join(f"{shard.name}\t{shard.size}" for shard in shards)
    return {
        "shards": len(shards),
        "bytes": sum(shard.size for shard in shards),
        "listing": sha256(listing.encode()).hexdigest(),
    }
