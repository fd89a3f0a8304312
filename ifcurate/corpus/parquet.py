"""Parquet in and out as record batches of bounded size."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ifcurate.corpus.facts import Facts
from ifcurate.corpus.sources import BATCH_BYTES, BATCH_ROWS, open_bytes, reading
from ifcurate.errors import InputError
from ifcurate.files import finishing

METADATA_KEY = b"ifcurate"
"""Where a file's schema or footer says how its columns were made, as JSON."""

READ_AHEAD_BYTES = 1 << 20
"""Read-ahead of each column, instead of whole column chunks: memory does not grow with the row groups of the input."""

ROW_GROUP_BYTES = 64 << 20
"""A row group is written once its batches take this much memory."""

PART_BYTES = 32 << 20
"""A part of a file holds as many row groups as have this size uncompressed."""


@dataclass(frozen=True)
class Part:
    """Some row groups of a file, one after the other: the number of their first row, and how many rows they have."""

    first_row: int
    rows: int
    groups: range


class ParquetReader:
    """The rows of one Parquet file; `schema` and `num_rows` come from the footer.

    Args:
        path: local path or fsspec URL.

    Attributes:
        times_in_utc: whether its times of day are stored as adjusted to UTC, which Arrow's types cannot say.
        facts: none are to be kept, the footer has them.

    Raises:
        InputError: the footer is missing, truncated or corrupt, or a column holds what Arrow would change.
    """

    facts: Facts | None = None

    def __init__(self, path: str) -> None:
        self._path = path
        with self._opened() as file:
            self.schema: pa.Schema = file.schema_arrow
            self.readable = self.schema
            self.num_rows: int = file.metadata.num_rows
            self._row_bytes = _largest_row_bytes(file.metadata)
            groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
            self._groups = [(group.num_rows, group.total_byte_size) for group in groups]
            columns = [file.metadata.schema.column(index) for index in range(file.metadata.num_columns)]
        self.times_in_utc = _are_times_in_utc(path, columns)

    def batches(
        self, columns: Sequence[str] | None = None, rows: int = BATCH_ROWS, part: Part | None = None
    ) -> Iterator[pa.RecordBatch]:
        """The rows in order, at most `rows` a batch and about `BATCH_BYTES`; `columns` picks top-level columns.

        Args:
            columns: default: all.
            rows: most of a batch.
            part: one of `parts`, whose rows alone are read.

        Raises:
            InputError: a page is truncated or corrupt.
        """
        fitting = max(1, min(rows, int(BATCH_BYTES / self._row_bytes)))
        part = part or Part(0, self.num_rows, range(len(self._groups)))
        found = 0
        with self._opened() as file:
            for batch in file.iter_batches(fitting, row_groups=part.groups, columns=columns, use_threads=False):
                found += batch.num_rows
                yield batch if columns is None else batch.select(list(columns))
            if found != part.rows:
                raise ValueError(f"{found} rows where the footer says {part.rows}")

    def parts(self) -> list[Part]:
        """The file cut between row groups, into parts of about `PART_BYTES` uncompressed: what threads share out."""
        found: list[Part] = []
        first_row, first_group, rows, size = 0, 0, 0, 0
        for number, (of_group, bytes_of_group) in enumerate(self._groups, start=1):
            rows, size = rows + of_group, size + bytes_of_group
            if size >= PART_BYTES or number == len(self._groups):
                found.append(Part(first_row, rows, range(first_group, number)))
                first_row, first_group, rows, size = first_row + rows, number, 0, 0
        return found

    def nulls(self, column: str) -> int:
        """Rows without a value in a top-level column of plain values, from the footer; a scan where it counts none."""
        with self._opened() as file:
            footer = file.metadata
        groups = [footer.row_group(index) for index in range(footer.num_row_groups)]
        chunks = [group.column(index) for group in groups for index in range(group.num_columns)]
        counts = [
            chunk.statistics.null_count if chunk.is_stats_set and chunk.statistics.has_null_count else None
            for chunk in chunks
            if chunk.path_in_schema == column
        ]
        known = [count for count in counts if count is not None]
        if len(known) == len(groups):
            return sum(known)
        return sum(batch.column(0).null_count for batch in self.batches([column]))

    @contextmanager
    def _opened(self) -> Iterator[pq.ParquetFile]:
        # pre_buffer, pyarrow's default, keeps every byte read until the file is closed.
        with reading(self._path, "Parquet"), open_bytes(self._path) as stream:
            yield pq.ParquetFile(
                stream,
                buffer_size=READ_AHEAD_BYTES,
                pre_buffer=False,
                page_checksum_verification=True,
                # Spark's timestamps span all years; as nanoseconds, pyarrow's default, those beyond 2262 wrap around.
                coerce_int96_timestamp_unit="us",
            )


class ParquetSink:
    """Collects record batches of one schema and writes them as row groups of about `ROW_GROUP_BYTES`."""

    def __init__(self, writer: pq.ParquetWriter) -> None:
        self._writer = writer
        self._pending: list[pa.RecordBatch] = []
        self._size = 0
        self.num_rows = 0

    def write(self, batch: pa.RecordBatch) -> None:
        """Append `batch`, whose schema is that of the file."""
        if batch.num_rows == 0:
            return  # no row group of an empty shard
        self._pending.append(batch)
        self._size += batch.nbytes
        self.num_rows += batch.num_rows
        if self._size >= ROW_GROUP_BYTES:
            self.flush()

    def describe(self, metadata: Mapping[str, Any]) -> None:
        """Say `metadata` in the file's footer, under the key `ifcurate`: for what is known after the last row only."""
        self._writer.add_key_value_metadata({METADATA_KEY: json.dumps(dict(metadata), sort_keys=True).encode()})

    def flush(self) -> None:
        """Write what is pending as one row group."""
        if self._pending:
            self._writer.write_table(pa.Table.from_batches(self._pending), row_group_size=self.num_rows)
        self._pending, self._size = [], 0


@contextmanager
def writing_parquet(
    path: Path, schema: pa.Schema, times_in_utc: bool = False, encodings: Mapping[str, str] | None = None
) -> Iterator[ParquetSink]:
    """A sink that becomes the finished file `path` when the block ends well, and leaves nothing when it does not.

    The bytes depend on the arguments and the batches alone. Pages carry checksums.

    Args:
        path: the file.
        schema: of the batches.
        times_in_utc: see `ParquetReader`.
        encodings: Parquet's name of one for columns of plain lists; the others have dictionaries.

    Raises:
        InputError: the disk is full.
    """
    encoded = {f"{name}.list.element": encoding for name, encoding in (encodings or {}).items()}
    with (
        finishing(path) as part,
        pq.ParquetWriter(
            part,
            schema,
            compression="zstd",
            use_dictionary=[leaf for leaf in _leaves(schema) if leaf not in encoded] if encoded else True,
            column_encoding=encoded or None,
            write_page_checksum=True,
            write_time_adjusted_to_utc=times_in_utc,
        ) as writer,
    ):
        sink = ParquetSink(writer)
        yield sink
        sink.flush()


def _leaves(schema: pa.Schema) -> list[str]:
    """What Parquet calls the values of plain columns and of lists of these."""
    return [f"{field.name}.list.element" if pa.types.is_list(field.type) else field.name for field in schema]


def _are_times_in_utc(path: str, columns: Sequence[pq.ColumnSchema]) -> bool:
    """Whether the times of day in `columns` are adjusted to UTC.

    Raises:
        InputError: some are and some are not, or a column holds intervals, of which Arrow keeps the bytes only.
    """
    intervals = [column.path for column in columns if column.converted_type == "INTERVAL"]
    if intervals:
        raise InputError(
            f"{path}: column {intervals[0]!r} holds intervals, which would come out as bytes; cast it or leave it out."
        )
    types = [json.loads(column.logical_type.to_json()) for column in columns]
    adjusted = {kind["isAdjustedToUTC"] for kind in types if kind["Type"] == "Time"}
    if len(adjusted) == 2:
        raise InputError(
            f"{path}: has times of day with a time zone beside others without, which would come out alike; "
            "cast them to one type."
        )
    return adjusted == {True}


def _largest_row_bytes(metadata: pq.FileMetaData) -> float:
    """Mean uncompressed size of a row in the row group where it is largest."""
    groups = (metadata.row_group(index) for index in range(metadata.num_row_groups))
    return max((group.total_byte_size / group.num_rows for group in groups if group.num_rows), default=1.0) or 1.0


def attach(schema: pa.Schema, metadata: Mapping[str, Any]) -> pa.Schema:
    """`schema` with `metadata` as JSON under the key `ifcurate`; every other metadata key stays."""
    kept = dict(schema.metadata or {})
    kept[METADATA_KEY] = json.dumps(dict(metadata), sort_keys=True).encode()
    return schema.with_metadata(kept)


def metadata_of(schema: pa.Schema, where: object = "the file") -> dict[str, Any]:
    """The JSON under the key `ifcurate` of a schema, or an empty dict where there is none.

    Raises:
        InputError: something else is under that key; names the file `where`.
    """
    return _parsed(schema.metadata, where)


def metadata_of_file(footer: pq.FileMetaData, where: object = "the file") -> dict[str, Any]:
    """The JSON under the key `ifcurate` of a Parquet file's footer: what was known when the last row was written.

    Raises:
        InputError: as for `metadata_of`.
    """
    return _parsed(footer.metadata, where)


def _parsed(metadata: Mapping[bytes, bytes] | None, where: object) -> dict[str, Any]:
    stored = (metadata or {}).get(METADATA_KEY)
    try:
        return dict(json.loads(stored)) if stored else {}
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{where}: has schema metadata under {METADATA_KEY.decode()!r} that is not ours; remove that key."
        ) from error
