"""Shards: the files of a corpus, found by path, folder, glob or URL, and opened whatever their format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any

from fsspec import AbstractFileSystem
from fsspec.core import has_magic
from fsspec.implementations.local import LocalFileSystem

from ifcurate.corpus.facts import Facts
from ifcurate.corpus.formats import FORMATS, ShardReader
from ifcurate.corpus.jsonl import JsonlReader
from ifcurate.errors import InputError, first_line
from ifcurate.storage.filesystems import located, persistently, stamp_of

_ADVICE = f"give a file, folder or glob of {', '.join(FORMATS)}"


@dataclass(frozen=True, order=True)
class Shard:
    """One file of a corpus.

    Attributes:
        name: path below the listed folder without the format's suffix, such as `sub/train-00000`; unique in a listing.
        path: where it is: a local path or an fsspec URL.
        format: one of `FORMATS`.
        size: bytes as stored.
        stamp: what the file system says of the last change, or nothing where it says nothing.
        limit: how many of its rows are part of the corpus, from the first; None for all.
        facts: what `known` found out about a file that does not say it itself.
    """

    name: str
    path: str
    format: str
    size: int
    stamp: str = field(default="", compare=False)
    limit: int | None = field(default=None, compare=False)
    facts: Facts | None = field(default=None, compare=False, repr=False)

    def output(self, folder: Path) -> Path:
        """Where what belongs to this shard goes below `folder`: the same name, as Parquet."""
        return folder / f"{self.name}.parquet"

    def all_annotated(self, folder: Path) -> set[Path]:
        """Wherever `annotated` may put it."""
        return {self.annotated(folder, output_format) for output_format in ("same", "parquet", "jsonl")}

    def annotated(self, folder: Path, output_format: str) -> Path:
        """Where this shard goes with our columns: the same name, in the `same` format, as `parquet` or as `jsonl`.

        A format without lists has no annotated shards of its own; they are Parquet.
        """
        same = output_format == "same" or (output_format == "jsonl" and self.holds_lines)
        return folder / f"{self.name}{FORMATS[self.format].annotated if same else f'.{output_format}'}"

    @property
    def holds_lines(self) -> bool:
        """Whether it is JSON Lines, whose lines can stay as they are."""
        return self.format.startswith(".jsonl")


@dataclass
class Listing:
    """What a corpus holds: its shards, how many files beside them are none, the limit that cut the shards, and which
    split of a data set they are."""

    shards: list[Shard]
    hidden: int = 0
    other_formats: int = 0
    limit: int | None = None
    split: str = ""

    def sentence(self) -> str:
        """Shards, bytes and what was left out, in one line."""
        size = sum(shard.size for shard in self.shards)
        reasons = {"hidden or begin with _": self.hidden, "of other formats": self.other_formats}
        left_out = ", ".join(f"{count:,} {reason}" for reason, count in reasons.items() if count)
        cut = "" if self.limit is None else f"; only its first {self.limit:,} documents, which --limit asks for"
        counted = f"corpus: {len(self.shards):,} shards, {size:,} bytes"
        if self.split:
            return f"{counted}; split {self.split}{cut}"
        return f"{counted}; files left out: {left_out or 'none'}{cut}"


def open_shard(shard: Shard) -> ShardReader:
    """A reader of `shard`, or of its first rows where it has a limit. Parquet: reads the footer. Other formats: reads
    the file once for what it does not say itself, unless that is known.

    Raises:
        InputError: the file is corrupt, truncated, or its lines do not fit one schema.
    """
    return FORMATS[shard.format].opener(shard.path, shard.facts, shard.limit)


def open_lines(shard: Shard) -> JsonlReader:
    """`open_shard` of a file of JSON Lines."""
    reader = open_shard(shard)
    assert isinstance(reader, JsonlReader)
    return reader


def known(shard: Shard) -> Shard:
    """`shard` with what opening it finds out, so that processes it is handed to need not look at every row again."""
    if not FORMATS[shard.format].has_facts or shard.facts is not None:
        return shard
    return replace(shard, facts=open_shard(shard).facts)


def first_documents(shards: Sequence[Shard], limit: int) -> list[Shard]:
    """The shards that hold the first `limit` documents, the last of them cut; all of them where there are fewer."""
    taken, missing = [], limit
    for shard in shards:
        if not missing:
            break
        cut = known(replace(shard, limit=missing, facts=None))
        rows = open_shard(cut).num_rows
        taken.append(cut if rows == missing else replace(cut, limit=None))
        missing -= rows
    return taken


def list_shards(source: str) -> list[Shard]:
    """The shards at `source`, sorted by name.

    `source` is a file, a folder (searched recursively, through links too) or a glob, on disk or as an fsspec URL.

    Raises:
        InputError: the location cannot be read, holds no shard, or holds two of the same name.
    """
    return list_corpus(source).shards


def list_corpus(source: str) -> Listing:
    """The shards at `source` as `list_shards` gives them, and how many files there are none.

    Those are files of other formats, and those that are no data by the habit of Hadoop, Spark and Delta: they or a
    folder above them have a name that begins with a dot or an underscore, as `.cache/`, `_temporary/`, `_SUCCESS`. A
    partition such as `_year=2024/` is data.

    Raises:
        InputError: see `list_shards`.
    """
    try:
        filesystem, path = located(source)
        root, found = persistently(source, lambda: _find(filesystem, path))
    except InputError:
        raise
    except Exception as error:  # every fsspec backend raises its own kinds
        raise InputError(f"{source}: cannot be listed ({first_line(error)}); {_ADVICE}.") from error
    listing = Listing([])
    named = [info["name"] for info in found] == [path]
    for info in found:
        relative = str(info["name"]).removeprefix(root.rstrip("/")).lstrip("/")
        if _is_hidden(relative) and not named:
            listing.hidden += 1
        elif (shard := shard_of(filesystem, relative, info)) is None:
            listing.other_formats += 1
        else:
            listing.shards.append(shard)
    shards = listing.shards
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
    return listing


def _find(filesystem: AbstractFileSystem, path: str) -> tuple[str, list[dict[str, Any]]]:
    """The folder that names are relative to, and every file at `path` as fsspec's info."""
    filesystem.invalidate_cache()
    if filesystem.exists(path):
        info = filesystem.info(path)
        if info["type"] != "directory":
            return filesystem._parent(path), [info]
        return path, _files_below(filesystem, path)
    if not has_magic(path):
        return path, []
    files: dict[str, dict[str, Any]] = {}
    for match in filesystem.glob(path):
        inside = _files_below(filesystem, match) if filesystem.isdir(match) else [filesystem.info(match)]
        files.update({str(info["name"]): info for info in inside})
    fixed = path
    while has_magic(fixed):
        fixed = filesystem._parent(fixed)
    return fixed, list(files.values())


def _files_below(filesystem: AbstractFileSystem, folder: str) -> list[dict[str, Any]]:
    """Every file below `folder` as fsspec's info, sorted by path."""
    if not isinstance(filesystem, LocalFileSystem):
        found = filesystem.find(folder, detail=True).values()
        return [info for info in found if not str(info["name"]).endswith("/")]  # object stores keep folders as such
    # fsspec's walk leaves out linked folders, and those that it may not read.
    return [filesystem.info(str(path)) for path in sorted(_walk(Path(folder), frozenset()))]


def _walk(folder: Path, above: frozenset[Path]) -> Iterator[Path]:
    """The files below a local folder, through links.

    Raises:
        OSError: a folder cannot be read, or a link leads back to a folder above it.
    """
    real = folder.resolve()
    if real in above:
        raise OSError(f"{folder} links to a folder that it lies in")
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _walk(entry, above | {real})
        else:
            yield entry


def _is_hidden(relative: str) -> bool:
    parts = PurePosixPath(relative).parts
    return any(part.startswith(".") or (part.startswith("_") and "=" not in part) for part in parts)


def shard_of(filesystem: AbstractFileSystem, relative: str, info: dict[str, Any]) -> Shard | None:
    """The shard that a file is, by its name below the corpus and what its file system says; None for other formats."""
    path = str(info["name"])
    suffix = next((suffix for suffix in FORMATS if relative.endswith(suffix)), None)
    if suffix is None:
        return None
    local = isinstance(filesystem, LocalFileSystem)
    address = path if local else filesystem.unstrip_protocol(path)
    return Shard(relative.removesuffix(suffix), address, suffix, int(info["size"]), stamp_of(info))


def corpus_fingerprint(shards: Sequence[Shard]) -> dict[str, Any]:
    """Number, bytes and a hash of names and sizes of the shards: enough to notice another corpus."""
    listing = "\n".join(f"{shard.name}\t{shard.size}" for shard in shards)
    return {
        "shards": len(shards),
        "bytes": sum(shard.size for shard in shards),
        "listing": sha256(listing.encode()).hexdigest(),
    }
