"""CSV, plain or compressed, as Arrow record batches: a line of names, then a line a row, all of its cells strings.

No type is guessed: `007` stays `007`, and an empty cell is an empty string. Cells that hold commas, quotes or line ends
stand in double quotes, as RFC 4180 has it; blank lines hold no row. The file is read twice, once to count the rows.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO

import pyarrow as pa

from ifcurate.corpus.compressed import reading_bytes
from ifcurate.corpus.facts import Facts
from ifcurate.corpus.sources import BATCH_BYTES, BATCH_ROWS, reading
from ifcurate.errors import InputError

LONGEST_CELL = (1 << 31) - 1
"""Characters: as many as an Arrow string holds bytes."""

Cells = list[str]


class CsvReader:
    """The rows of one CSV file.

    Args:
        path: local path or fsspec URL.
        compression: "gzip", "zstd" or None.
        facts: of an earlier reader of the same file and limit, which saves reading all of it.
        limit: how many rows to read of it, if not all.

    Raises:
        InputError: a row has more or fewer cells than there are names, a name is there twice, or a quote is not closed.
    """

    times_in_utc = False

    def __init__(
        self, path: str, compression: str | None = None, facts: Facts | None = None, limit: int | None = None
    ) -> None:
        csv.field_size_limit(LONGEST_CELL)
        self._path, self._compression, self._limit = path, compression, limit
        self.facts = facts or self._look()
        self.schema = self.readable = self.facts.readable
        self.num_rows = self.facts.num_rows

    def batches(self, columns: Sequence[str] | None = None, rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """The rows in order, at most `rows` a batch and about `BATCH_BYTES`; `columns` picks some.

        Raises:
            InputError: the file cannot be read any more.
        """
        names = self.schema.names if columns is None else list(columns)
        places = [self.schema.names.index(name) for name in names]
        pending: list[Cells] = []
        size = 0
        with self._table() as (_, lines):
            for cells in lines:
                pending.append(cells)
                size += sum(map(len, cells))
                if len(pending) == rows or size >= BATCH_BYTES:
                    yield _batch(pending, names, places)
                    pending, size = [], 0
            if pending:
                yield _batch(pending, names, places)

    def nulls(self, column: str) -> int:
        """None: an empty cell is an empty string."""
        del column
        return 0

    def _look(self) -> Facts:
        """Read every row once."""
        with self._table() as (names, lines):
            repeated = next((name for name in names if names.count(name) > 1), None)
            if repeated is not None:
                raise InputError(f"{self._path}: has several columns named {repeated!r}; rename all but one.")
            return Facts(pa.schema([pa.field(name, pa.string()) for name in names]), sum(1 for _ in lines))

    @contextmanager
    def _table(self) -> Iterator[tuple[Cells, Iterator[Cells]]]:
        """The names, and the rows."""
        with (
            reading(self._path, self._compression or "CSV"),
            reading_bytes(self._path, self._compression) as stream,
            io.TextIOWrapper(_without_mark(stream), "utf-8", errors="surrogateescape", newline="") as text,
        ):
            lines = csv.reader(text, strict=True)
            names = next(self._whole(lines), None)
            if names is None:
                raise InputError(f"{self._path}: is empty, without a line of column names; restore or remove it.")
            yield names, self._rows(lines, len(names))

    def _rows(self, lines: csv._reader, width: int) -> Iterator[Cells]:  # type: ignore[name-defined]
        for number, cells in enumerate(self._whole(lines)):
            if number == self._limit:
                return
            if len(cells) != width:
                raise InputError(
                    f"{self._path}, line {lines.line_num}: its row has {len(cells)} cells where the first line names "
                    f"{width} columns; correct or remove it."
                )
            yield cells

    def _whole(self, lines: csv._reader) -> Iterator[Cells]:  # type: ignore[name-defined]
        """The rows that are no blank lines."""
        try:
            yield from filter(None, lines)
        except csv.Error as error:
            raise InputError(
                f"{self._path}, line {lines.line_num}: is not valid CSV ({error}); correct or remove the line."
            ) from error


def _without_mark(stream: BinaryIO) -> BinaryIO:
    """`stream`, behind a byte order mark where it begins with one."""
    assert isinstance(stream, io.BufferedReader)
    if stream.peek(len(codecs.BOM_UTF8)).startswith(codecs.BOM_UTF8):
        stream.read(len(codecs.BOM_UTF8))
    return stream


def _batch(rows: Sequence[Cells], names: Sequence[str], places: Sequence[int]) -> pa.RecordBatch:
    """Bytes that are not UTF-8 come as they are, for whoever reads the strings to judge."""
    arrays = [
        pa.array([cells[place].encode("utf-8", "surrogateescape") for cells in rows], pa.binary()).view(pa.string())
        for place in places
    ]
    return pa.RecordBatch.from_arrays(arrays, names=list(names))
