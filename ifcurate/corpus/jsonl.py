"""JSON Lines, plain or compressed, as Arrow record batches.

The file is read twice: once to learn the number of rows and a schema that fits all of them, once for the rows. Both
passes hold one batch in memory. Blank lines hold no row. A key that a row lacks reads as null.
"""

from __future__ import annotations

import codecs
import io
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson
import pyarrow as pa

from ifcurate.corpus.jsontypes import MOST_KEYS, JsonType, TypeConflictError
from ifcurate.corpus.sources import BATCH_BYTES, BATCH_ROWS, open_bytes, reading
from ifcurate.errors import InputError

BUFFER_BYTES = 1 << 20
_LONG_INTEGER = re.compile(rb"\d{19}")


@dataclass(frozen=True)
class JsonlFacts:
    """What a look at every line of a file tells.

    Attributes:
        readable: the columns that have one type in all rows.
        conflicts: the others -> why they have none, with the line where it shows.
        num_rows: how many rows there are.
        present: column -> rows in which it is there and not null.
    """

    readable: pa.Schema
    conflicts: Mapping[str, str]
    num_rows: int
    present: Mapping[str, int]


class JsonlReader:
    """The rows of one JSON Lines file, with types inferred over all of them.

    A column whose values conflict matters only to whoever asks for it, or for the `schema` of all.

    Args:
        path: local path or fsspec URL.
        compression: "gzip", "zstd" or None.
        facts: of an earlier reader of the same file, which saves looking at every line.

    Attributes:
        readable: the columns that have one type.

    Raises:
        InputError: a line is not a JSON object, keys are too many, or the file is corrupt.
    """

    times_in_utc = False

    def __init__(self, path: str, compression: str | None = None, facts: JsonlFacts | None = None) -> None:
        self._path = path
        self._compression = compression
        self.facts = facts or self._look()
        self.readable, self.num_rows = self.facts.readable, self.facts.num_rows

    @property
    def schema(self) -> pa.Schema:
        """The types of all columns.

        Raises:
            InputError: the values of a column conflict; names file, line and column.
        """
        for conflict in self.facts.conflicts.values():
            raise InputError(f"{self._path}{conflict}")
        return self.readable

    def _look(self) -> JsonlFacts:
        """Parse every line once."""
        rows = 0
        present: Counter[str] = Counter()
        seen: dict[str, JsonType] = {}
        conflicts: dict[str, str] = {}
        for number, line in self._lines():
            row = self._row(number, line)
            present.update(key for key, value in row.items() if value is not None)
            for key, value in row.items():
                try:
                    seen.setdefault(key, JsonType(key, 1)).see(value)
                except TypeConflictError as conflict:
                    conflicts.setdefault(key, f", line {number}: {conflict}; give the column one type.")
            if len(seen) > MOST_KEYS:
                raise InputError(
                    f"{self._path}, line {number}: its rows have more than {MOST_KEYS:,} different keys; "
                    "give the column one type."
                )
            rows += 1
        fields = []
        for key, kind in seen.items():
            try:
                fields.append(pa.field(key, kind.arrow()))
            except TypeConflictError as conflict:
                conflicts.setdefault(key, f": {conflict}; remove it or give it a key.")
        readable = pa.schema([field for field in fields if field.name not in conflicts])
        return JsonlFacts(readable, conflicts, rows, dict(present))

    def lines(self) -> Iterator[bytes]:
        """Every line as it was written, blank ones and line ends included; `holds_row` tells those with a row."""
        with reading(self._path, self._compression or "JSON Lines"), self._opened() as stream:
            yield from stream

    def batches(self, columns: Sequence[str] | None = None, rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """The rows in order, at most `rows` a batch and about `BATCH_BYTES` of JSON; `columns` picks some.

        Raises:
            InputError: the file cannot be read any more.
        """
        schema = self.schema if columns is None else pa.schema([self.readable.field(name) for name in columns])
        pending: list[dict[str, Any]] = []
        size = 0
        for number, line in self._lines():
            pending.append(self._row(number, line))
            size += len(line)
            if len(pending) == rows or size >= BATCH_BYTES:
                yield self._batch(pending, schema)
                pending, size = [], 0
        if pending:
            yield self._batch(pending, schema)

    def nulls(self, column: str) -> int:
        """Rows where the key `column` is null or absent."""
        return self.num_rows - self.facts.present.get(column, 0)

    def _batch(self, rows: list[dict[str, Any]], schema: pa.Schema) -> pa.RecordBatch:
        with reading(self._path, "JSON Lines"):
            arrays = [pa.array([row.get(field.name) for row in rows], field.type) for field in schema]
            return pa.RecordBatch.from_arrays(arrays, schema=schema)

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        """Every line that is not blank, with its number counted from 1."""
        for number, line in enumerate(self.lines(), start=1):
            content = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
            if holds_row(content):
                yield number, content

    @contextmanager
    def _opened(self) -> Iterator[io.BufferedReader]:
        with open_bytes(self._path) as raw:
            if self._compression is None:
                yield io.BufferedReader(raw, BUFFER_BYTES)
                return
            packed = io.BufferedReader(raw, BUFFER_BYTES)
            if not packed.peek(1):
                raise InputError(
                    f"{self._path}: is empty, not even a {self._compression} header; restore or remove it."
                )
            unpacked = pa.CompressedInputStream(pa.PythonFile(packed, mode="r"), self._compression)
            yield io.BufferedReader(unpacked, BUFFER_BYTES)

    def _row(self, number: int, line: bytes) -> dict[str, Any]:
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise InputError(
                f"{self._path}, line {number}: is not valid JSON ({error.msg}, character {error.colno}); "
                "correct or remove the line."
            ) from error
        if not isinstance(row, dict):
            raise InputError(f"{self._path}, line {number}: is not a JSON object; write one {{...}} a line.")
        # orjson reads integers beyond 64 bits as rounded floats; the standard library keeps them, to be refused.
        return json.loads(line) if _LONG_INTEGER.search(line) else row


def holds_row(line: bytes) -> bool:
    """Whether a line is more than white space and a byte order mark."""
    return bool(line.removeprefix(codecs.BOM_UTF8).strip())
