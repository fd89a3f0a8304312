"""Annotated JSON Lines: every line as it was written, with our keys appended.

No type of the input is guessed, so nothing of it can change. What Parquet keeps in its schema stands in one file
beside the shards, see `provenance`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
import orjson
import pyarrow as pa

from ifcurate.annotation.changed import TextCheck
from ifcurate.annotation.writer import Beside, Rows, new_columns
from ifcurate.corpus.compressed import writing_bytes
from ifcurate.corpus.jsonl import holds_row
from ifcurate.corpus.shards import Shard, open_lines, open_shard
from ifcurate.errors import InputError
from ifcurate.files import finishing

LINES_AT_ONCE = 1024
_JSON_TYPES = ("null", "boolean", "integer", "floating", "string", "large_string", "string_view")


def append_to_lines(
    shard: Shard,
    path: Path,
    fields: Sequence[pa.Field],
    annotations: Iterable[pa.RecordBatch],
    texts: TextCheck | None = None,
) -> int:
    """Write the lines of `shard`, a file of JSON Lines, with the keys `fields` appended, and count the rows.

    The arguments are those of `write_annotated`; compression and line ends stay. Influence is written with the fewest
    digits that give back its float32.

    Raises:
        ChangedShardError: see `write_annotated`.
        InputError: a key is there already, or the disk is full.
    """
    reader = open_lines(shard)
    known = [*reader.readable, *(pa.field(name, pa.null()) for name in reader.facts.conflicts)]
    ours = Beside(shard, annotations, fields, new_columns(shard, pa.schema(known), fields), texts)
    shared = Rows(
        reader.batches(ours.shared, LINES_AT_ONCE) if ours.shared else (),
        pa.schema([reader.readable.field(name) for name in ours.shared]),
    )
    lines = reader.lines()
    with finishing(path) as part, writing_bytes(part, shard.format) as out:
        while chunk := list(islice(lines, LINES_AT_ONCE)):
            count = sum(map(holds_row, chunk))
            keys = _as_json(ours.next_to_lines(chunk, count, shared.take(count)))
            out.write(b"".join(_joined(line, keys) if holds_row(line) else line for line in chunk))
        ours.finish()
    return ours.rows


def write_as_lines(
    shard: Shard,
    path: Path,
    fields: Sequence[pa.Field],
    annotations: Iterable[pa.RecordBatch],
    texts: TextCheck | None = None,
) -> int:
    """Write the rows of `shard`, of another format, as JSON Lines with the keys `fields` appended, and count them.

    Raises:
        InputError: see `append_to_lines`; or a column holds what JSON has no value for.
    """
    reader = open_shard(shard)
    for column in reader.schema:
        if not _is_json(column.type):
            raise InputError(
                f"{shard.path}: column {column.name!r} holds {column.type}, which JSON has no value for; "
                "give --output-format same or parquet, or cast the column."
            )
    ours = Beside(shard, annotations, fields, new_columns(shard, reader.schema, fields), texts)
    with finishing(path) as part, writing_bytes(part, ".jsonl") as out:
        for batch in reader.batches(rows=LINES_AT_ONCE):
            first_row = ours.rows
            keys = _as_json(ours.next_to(batch))
            for number, row in enumerate(batch.to_pylist(), start=first_row):
                out.write(_joined(_line(shard, number, row), keys))
        ours.finish()
    return ours.rows


def _is_json(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return all(_is_json(field.type) for field in kind)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _is_json(kind.value_type)
    return any(getattr(pa.types, f"is_{name}")(kind) for name in _JSON_TYPES)


def _line(shard: Shard, number: int, row: dict[str, Any]) -> bytes:
    try:
        return json.dumps(row, ensure_ascii=False, allow_nan=False).encode() + b"\n"
    except ValueError as error:
        raise InputError(
            f"{shard.path}, row {number} (counted from 0): holds NaN or infinity, which JSON has no value for; "
            "give --output-format same or parquet, or correct the row."
        ) from error


def _as_json(batch: pa.RecordBatch) -> Iterator[bytes]:
    """The columns of each row as the inside of a JSON object."""
    columns = [_values(batch.column(name)) for name in batch.schema.names]
    for values in zip(*columns, strict=True):
        row = dict(zip(batch.schema.names, values, strict=True))
        yield orjson.dumps(row, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1]


def _values(column: pa.Array) -> Iterable[Any]:
    """Lists of numbers as numpy arrays, which orjson writes with the fewest digits of their own type; null as None."""
    kind = column.type
    if pa.types.is_floating(kind):
        return _or_null(column, column.to_numpy(zero_copy_only=False))
    if not pa.types.is_list(kind) or not pa.types.is_floating(kind.value_type):
        return cast("Iterable[Any]", column.to_pylist())
    offsets, values = column.offsets.to_numpy(), np.ascontiguousarray(column.values.to_numpy())
    return _or_null(column, (values[first:last] for first, last in pairwise(offsets)))


def _or_null(column: pa.Array, values: Iterable[Any]) -> Iterable[Any]:
    """`values`, or None where `column` has none."""
    if not column.null_count:
        return values
    return (value if there else None for value, there in zip(values, column.is_valid().to_pylist(), strict=True))


def _joined(line: bytes, keys: Iterator[bytes]) -> bytes:
    """A line's object with the next `keys` before its closing brace."""
    content = line.rstrip()
    body = content[:-1].rstrip()
    comma = b"" if body.endswith(b"{") and not body.removesuffix(b"{").strip(b"\xef\xbb\xbf \t") else b", "
    return body + comma + next(keys) + b"}" + line[len(content) :]
