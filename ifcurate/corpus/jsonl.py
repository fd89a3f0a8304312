"""JSON Lines, plain or compressed, as Arrow record batches.

The file is read twice: once to learn the number of rows and a schema that fits all of them, once for the rows. Both
passes hold one batch in memory. Blank lines hold no row. A key that a row lacks reads as null.
"""

from __future__ import annotations

import codecs
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import orjson
import pyarrow as pa

from ifcurate.corpus.compressed import reading_bytes
from ifcurate.corpus.facts import Facts
from ifcurate.corpus.jsontypes import MOST_KEYS, JsonType, TypeConflictError
from ifcurate.corpus.sources import BATCH_BYTES, BATCH_ROWS, reading
from ifcurate.errors import InputError

_LONG_INTEGER = re.compile(rb"\d{19}")


class JsonlReader:
    """The rows of one JSON Lines file, with types inferred over all of them.

    A column whose values conflict matters only to whoever asks for it, or for the `schema` of all.

    Args:
        path: local path or fsspec URL.
        compression: "gzip", "zstd" or None.
        facts: of an earlier reader of the same file and limit, which saves looking at every line.
        limit: how many rows to read of it, if not all.

    Attributes:
        readable: the columns that have one type.

    Raises:
        InputError: a line is not a JSON object, keys are too many, or the file is corrupt.
    """

    times_in_utc = False

    def __init__(
        self, path: str, compression: str | None = None, facts: Facts | None = None, limit: int | None = None
    ) -> None:
        self._path = path
        self._compression = compression
        self._limit = limit
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

    def _look(self) -> Facts:
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
        return Facts(readable, rows, conflicts, dict(present))

    def lines(self) -> Iterator[bytes]:
        """Every line as it was written, blank ones and line ends included; `holds_row` tells those with a row."""
        rows = 0
        with (
            reading(self._path, self._compression or "JSON Lines"),
            reading_bytes(self._path, self._compression) as lines,
        ):
            for line in lines if self._limit != 0 else ():
                yield line
                rows += holds_row(line)
                if rows == self._limit:
                    return

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
