"""Small corpora in every format, for the tests of what reads and writes them."""

from __future__ import annotations

import gzip
import json
import uuid
from collections.abc import Callable, Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from ifcurate.corpus import formats
from ifcurate.corpus.shards import Shard, list_shards

FORMATS = [suffix for suffix in formats.FORMATS if not suffix.startswith(".csv")]
"""Those that keep the types of values."""

ROWS: list[dict[str, Any]] = [
    {"id": "a", "text": "plain", "meta": {"source": "web", "tags": ["x", "y"], "score": 1.5}, "n": 1},
    {"id": "b", "text": "", "meta": {"source": None, "tags": [], "score": -0.0}, "n": None},
    {"id": "c", "text": "emoji 👩‍👩‍👧‍👦 and \x00\x1b\r\n\u2028 control", "meta": None, "n": -(2**63)},
    {
        "id": "d",
        "text": "2024-01-01T00:00:00Z",
        "meta": {"source": "wiki", "tags": None, "score": None},
        "n": 2**63 - 1,
    },
]


def write_rows(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    """Write `rows` in the format that the name of `path` ends with."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(list(rows)), path)
        return path
    if path.name.endswith(".arrow"):
        table = pa.Table.from_pylist(list(rows))
        with pa.ipc.new_stream(str(path), table.schema) as writer:
            writer.write_table(table)
        return path
    content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    pack: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".zst": zstandard.compress}
    path.write_bytes(pack.get(path.suffix, bytes)(content))
    return path


def write_shard(path: Path, rows: Iterable[dict[str, Any]]) -> Shard:
    """The one shard that `rows` make at `path`."""
    return list_shards(str(write_rows(path, rows)))[0]


PYARROW = int(pa.__version__.partition(".")[0])
NO_PAIR = None if PYARROW >= 26 else [0, 0]
"""Before version 26, pyarrow cannot write or cannot read a null among lists of fixed size."""


def typed_table() -> pa.Table:
    """A table with a column of every kind that Parquet keeps, and metadata on schema and fields."""
    values = {
        "large": pa.array(["a", None, "c"], pa.large_string()),
        "view": pa.array(["a", None, "c"], pa.string_view()),
        "dictionary": pa.array(["a", None, "a"], pa.dictionary(pa.int8(), pa.string())),
        "binary": pa.array([b"\xff", None, b""], pa.binary()),
        "small": pa.array([1, None, 255], pa.uint8()),
        "half": pa.array([1.5, None, -2.0], pa.float16()),
        "floats": pa.array([[0.1, None], None, []], pa.list_(pa.float32())),
        "fixed": pa.array([[1, 2], NO_PAIR, [3, 4]], pa.list_(pa.int16(), 2)),
        "large_list": pa.array([["a"], None, []], pa.large_list(pa.string())),
        "map": pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int32())),
        "when": pa.array([1, None, 3], pa.timestamp("us", tz="Europe/Zurich")),
        "day": pa.array([1, None, 3], pa.date32()),
        "price": pa.array([Decimal("1.10"), None, Decimal("0.01")], pa.decimal128(10, 2)),
        "uuid": pa.array([uuid.UUID(int=1).bytes, None, uuid.UUID(int=2).bytes], pa.uuid()),
        "nothing": pa.nulls(3),
        "deep": pa.array(
            [{"a": [{"b": 1}]}, None, {"a": []}], pa.struct([("a", pa.list_(pa.struct([("b", pa.int8())])))])
        ),
        "with.dot": pa.array([1, 2, 3], pa.int64()),
    }
    fields = [pa.field(name, array.type, metadata={"unit": "none"}) for name, array in values.items()]
    schema = pa.schema([pa.field("text", pa.string(), nullable=False), *fields], metadata={"huggingface": '{"a": 1}'})
    return pa.Table.from_arrays([pa.array(["x", "", "z"]), *values.values()], schema=schema)


__all__ = ["FORMATS", "PYARROW", "ROWS", "typed_table", "write_rows", "write_shard"]
