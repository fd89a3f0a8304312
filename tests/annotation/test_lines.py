"""JSON Lines in, JSON Lines out: nothing of a line changes, our keys come behind it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from ifcurate.annotation.lines import append_to_lines, write_as_lines
from ifcurate.annotation.provenance import read_provenance, write_provenance
from ifcurate.annotation.schema import annotation_fields
from ifcurate.corpus.shards import list_shards
from ifcurate.errors import InputError
from ifcurate.selection.scores import INT_LIST, TOKEN_IDS

PACK = {
    ".jsonl": lambda content: content,
    ".jsonl.gz": gzip.compress,
    ".jsonl.zst": zstandard.compress,
}
FIELDS = [pa.field(TOKEN_IDS, INT_LIST), *annotation_fields("toxic")]


def annotations(rows: int) -> Iterator[pa.RecordBatch]:
    for row in range(rows):
        values = {
            TOKEN_IDS: list(range(row)),
            "toxic_influence": [0.1] * row,
            "toxic_mask": [True] * row,
            "toxic_spans": [{"start": 0, "end": row}] if row else [],
            "toxic_sparsity": row,
            "toxic_score": 0.1,
            "toxic_rank": 1.0,
        }
        yield pa.RecordBatch.from_pylist([values], schema=pa.schema(FIELDS))


def unpacked(path: Path) -> bytes:
    raw = path.read_bytes()
    if path.suffix == ".gz":
        return gzip.decompress(raw)
    return zstandard.ZstdDecompressor().stream_reader(raw).read() if path.suffix == ".zst" else raw


@pytest.mark.parametrize("suffix", PACK)
def test_a_line_stays_and_our_keys_follow(suffix: str, tmp_path: Path) -> None:
    lines = [
        b'{"text": "a\\u0041 {}", "n": 1.10}\r\n',
        b"\n",
        b'{ "text":"", "n": null }  \n',
        b'{"text": "\xf0\x9f\x98\x80"}',
    ]
    path = tmp_path / f"a{suffix}"
    path.write_bytes(PACK[suffix](b"".join(lines)))
    (shard,) = list_shards(str(path))
    out = shard.annotated(tmp_path / "data", "same")
    assert out.name == path.name
    assert append_to_lines(shard, out, FIELDS, annotations(3)) == 3
    written = unpacked(out).splitlines(keepends=True)
    assert len(written) == len(lines)
    for before, after in zip(lines, written, strict=True):
        assert after.startswith(before.rstrip()[:-1].rstrip())
        assert after[len(after.rstrip()) :] == before[len(before.rstrip()) :]
    rows = [json.loads(line) for line in written if line.strip()]
    assert [row["text"] for row in rows] == ["aA {}", "", "\U0001f600"]
    assert [row["toxic_influence"] for row in rows] == [[], [0.1], [0.1, 0.1]]  # the float32's fewest digits
    assert np.float32(rows[1]["toxic_influence"][0]) == np.float32(0.1)
    assert rows[2]["toxic_spans"] == [{"start": 0, "end": 2}]
    again = tmp_path / "again" / path.name
    append_to_lines(shard, again, FIELDS, annotations(3))
    assert again.read_bytes() == out.read_bytes()


def test_an_empty_object_and_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'\xef\xbb\xbf{}\n{"text": "x"}\n')
    (shard,) = list_shards(str(tmp_path / "a.jsonl"))
    append_to_lines(shard, tmp_path / "out.jsonl", FIELDS, annotations(2))
    first, second = (tmp_path / "out.jsonl").read_bytes().splitlines()
    assert first.startswith(b'\xef\xbb\xbf{"token_ids":')
    assert second.startswith(b'{"text": "x", "token_ids":[0],')


def test_a_key_that_is_there_is_refused_and_token_ids_are_shared(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "", "token_ids": []}\n{"text": "x", "token_ids": [0]}\n')
    (shard,) = list_shards(str(tmp_path / "a.jsonl"))
    append_to_lines(shard, tmp_path / "out.jsonl", FIELDS, annotations(2))
    assert b'"token_ids": [0], "toxic_influence"' in (tmp_path / "out.jsonl").read_bytes()
    (once,) = list_shards(str(tmp_path / "out.jsonl"))
    with pytest.raises(InputError, match="has a column 'toxic_influence' already"):
        append_to_lines(once, tmp_path / "twice.jsonl", FIELDS, annotations(2))
    (tmp_path / "a.jsonl").write_text('{"text": "", "token_ids": []}\n{"text": "x", "token_ids": [7]}\n')
    with pytest.raises(InputError, match=r"row 1 .* holds another tokenization"):
        append_to_lines(list_shards(str(tmp_path / "a.jsonl"))[0], tmp_path / "x.jsonl", FIELDS, annotations(2))
    assert not (tmp_path / "x.jsonl").exists()


@pytest.mark.parametrize(("scored", "reason"), [(1, "has more rows than the 1 scored"), (3, "has only 2 rows")])
def test_another_number_of_rows_is_refused(scored: int, reason: str, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "x"}\n' * 2)
    (shard,) = list_shards(str(tmp_path / "a.jsonl"))
    with pytest.raises(InputError, match=reason):
        append_to_lines(shard, tmp_path / "out.jsonl", FIELDS, annotations(scored))
    assert [file.name for file in tmp_path.iterdir()] == ["a.jsonl"]


def test_parquet_as_lines(tmp_path: Path) -> None:
    table = pa.table({"text": ["é", "x"], "meta": [{"a": [1, None]}, None]})
    pq.write_table(table, tmp_path / "a.parquet")
    (shard,) = list_shards(str(tmp_path / "a.parquet"))
    write_as_lines(shard, shard.annotated(tmp_path / "out", "jsonl"), FIELDS, annotations(2))
    rows = [json.loads(line) for line in (tmp_path / "out/a.jsonl").read_text().splitlines()]
    assert [{name: row[name] for name in ("text", "meta")} for row in rows] == table.to_pylist()
    assert rows[1]["toxic_mask"] == [True]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([b"x"], "column 'a' holds binary, which JSON has no value for"),
        ([float("nan")], "row 0 .* holds NaN or infinity"),
    ],
)
def test_what_json_cannot_hold_is_refused(values: list[Any], reason: str, tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["x"], "a": values}), tmp_path / "a.parquet")
    (shard,) = list_shards(str(tmp_path / "a.parquet"))
    with pytest.raises(InputError, match=reason):
        write_as_lines(shard, tmp_path / "out.jsonl", FIELDS, annotations(1))
    assert not (tmp_path / "out.jsonl").exists()


def test_provenance_is_found_beside_the_listed_folder(tmp_path: Path) -> None:
    for name in ("a", "sub/b"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.jsonl").write_text("{}\n")
    write_provenance(tmp_path, {"toxic": {"tau": 1.5}})
    assert [read_provenance(shard) for shard in list_shards(str(tmp_path))] == [{"toxic": {"tau": 1.5}}] * 2
    (tmp_path / "_ifcurate.json").write_text("{")
    with pytest.raises(InputError, match=r"_ifcurate.json: is damaged"):
        read_provenance(list_shards(str(tmp_path))[0])
    (tmp_path / "_ifcurate.json").unlink()
    assert read_provenance(list_shards(str(tmp_path))[0]) == {}
