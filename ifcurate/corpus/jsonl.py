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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import orjson
import pyarrow as pa

from ifcurate.corpus.jsontypes import JsonType, TypeConflictError
from ifcurate.corpus.sources import BATCH_BYTES, BATCH_ROWS, open_bytes, reading
from ifcurate.errors import InputError

BUFFER_BYTES = 1 << 20
_LONG_INTEGER = re.compile(rb"\d{19}")


class JsonlReader:
    """The rows of one JSON Lines file, with a schema inferred over all of them.

    Args:
        path: local path or fsspec URL.
        compression: "gzip", "zstd" or None.

    Raises:
        InputError: a line is not a JSON object, values conflict (names file, line and column), or the file is corrupt.
    """

    def __init__(self, path: str, compression: str | None = None) -> None:
        self._path = path
        self._compression = compression
        self.num_rows = 0
        self.times_in_utc = False
        self._present: Counter[str] = Counter()
        seen = JsonType()
        for number, line in self._lines():
            row = self._row(number, line)
            try:
                seen.see(row)
            except TypeConflictError as conflict:
                raise InputError(f"{path}, line {number}: {conflict}; give the column one type.") from conflict
            self.num_rows += 1
            self._present.update(key for key, value in row.items() if value is not None)
        try:
            self.schema: pa.Schema = pa.schema(seen.fields())
        except TypeConflictError as conflict:
            raise InputError(f"{path}: {conflict}; remove it or give it a key.") from conflict

    def batches(self, columns: Sequence[str] | None = None, rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """The rows in order, at most `rows` a batch and about `BATCH_BYTES` of JSON; `columns` picks some.

        Raises:
            InputError: the file cannot be read any more.
        """
        schema = self.schema if columns is None else pa.schema([self.schema.field(name) for name in columns])
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
        return self.num_rows - self._present[column]

    def _batch(self, rows: list[dict[str, Any]], schema: pa.Schema) -> pa.RecordBatch:
        with reading(self._path, "JSON Lines"):
            arrays = [pa.array([row.get(field.name) for row in rows], field.type) for field in schema]
            return pa.RecordBatch.from_arrays(arrays, schema=schema)

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        """Every line that is not blank, with its number counted from 1."""
        with reading(self._path, self._compression or "JSON Lines"), self._opened() as stream:
            for number, line in enumerate(stream, start=1):
                content = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
                if content.strip():
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
