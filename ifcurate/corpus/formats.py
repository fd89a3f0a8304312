"""The file formats of shards: how each is opened, and what an annotated shard of it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple, Protocol

import pyarrow as pa

from ifcurate.corpus.arrow import ArrowReader
from ifcurate.corpus.csvfiles import CsvReader
from ifcurate.corpus.facts import Facts
from ifcurate.corpus.jsonl import JsonlReader
from ifcurate.corpus.parquet import ParquetReader
from ifcurate.corpus.sources import BATCH_ROWS


class ShardReader(Protocol):
    """The rows of a shard; opening it again for every iteration, it can be read many times."""

    readable: pa.Schema
    num_rows: int
    times_in_utc: bool

    @property
    def facts(self) -> Facts | None:
        """What was found out that is worth keeping for the next who opens it."""

    @property
    def schema(self) -> pa.Schema:
        """The types of all columns; `readable` are those that have one."""

    def batches(self, columns: Sequence[str] | None = None, rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """The rows in order, in batches of at most `rows` rows and bounded size; `columns` picks some."""

    def nulls(self, column: str) -> int:
        """How many rows have no value in a top-level column of plain values."""


class Limited:
    """The first rows of a reader."""

    def __init__(self, reader: ShardReader, limit: int) -> None:
        self._reader = reader
        self.schema, self.readable, self.times_in_utc = reader.schema, reader.readable, reader.times_in_utc
        self.num_rows = min(limit, reader.num_rows)
        self.facts: Facts | None = reader.facts

    def batches(self, columns: Sequence[str] | None = None, rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """See `ShardReader.batches`."""
        missing = self.num_rows
        for batch in self._reader.batches(columns, rows) if missing else ():
            yield batch.slice(0, missing)
            missing -= batch.num_rows
            if missing <= 0:
                return

    def nulls(self, column: str) -> int:
        """See `ShardReader.nulls`; the rows are looked at."""
        return sum(batch.column(0).null_count for batch in self.batches([column]))


Opener = Callable[[str, Facts | None, int | None], ShardReader]


class Format(NamedTuple):
    """A file format.

    Attributes:
        opener: takes path, facts and limit.
        has_facts: whether opening looks at every row, so that the facts are worth keeping.
        annotated: the format of an annotated shard; other than its own where it holds no lists.
        describes_itself: whether its schema says how columns were made.
    """

    opener: Opener
    has_facts: bool
    annotated: str
    describes_itself: bool = False


def _parquet(path: str, facts: Facts | None, limit: int | None) -> ShardReader:
    del facts  # the footer has them
    return ParquetReader(path) if limit is None else Limited(ParquetReader(path), limit)


def _arrow(path: str, facts: Facts | None, limit: int | None) -> ShardReader:
    reader = ArrowReader(path, facts)
    return reader if limit is None else Limited(reader, limit)


def _jsonl(path: str, facts: Facts | None, limit: int | None, compression: str | None = None) -> ShardReader:
    return JsonlReader(path, compression, facts, limit)


def _csv(path: str, facts: Facts | None, limit: int | None, compression: str | None = None) -> ShardReader:
    return CsvReader(path, compression, facts, limit)


_COMPRESSIONS = {"": None, ".gz": "gzip", ".zst": "zstd"}

FORMATS: dict[str, Format] = {
    ".parquet": Format(_parquet, has_facts=False, annotated=".parquet", describes_itself=True),
    ".arrow": Format(_arrow, has_facts=True, annotated=".arrow", describes_itself=True),
    **{
        f".jsonl{suffix}": Format(partial(_jsonl, compression=kind), has_facts=True, annotated=f".jsonl{suffix}")
        for suffix, kind in _COMPRESSIONS.items()
    },
    **{
        f".csv{suffix}": Format(partial(_csv, compression=kind), has_facts=True, annotated=".parquet")
        for suffix, kind in _COMPRESSIONS.items()
    },
}
"""By the end of a file's name."""
