"""One schema over annotated shards, and files cut by size."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from annotated_corpora import annotate, word_tokenizer

from ifcurate.annotation.numbered_files import NumberedFiles
from ifcurate.annotation.provenance import write_provenance
from ifcurate.annotation.published import AnnotatedShards, Annotations
from ifcurate.annotation.schema import SPAN_LIST
from ifcurate.corpus.parquet import metadata_of
from ifcurate.corpus.shards import list_shards
from ifcurate.errors import InputError


def opened(folder: Path, id_column: str | None = None) -> AnnotatedShards:
    return AnnotatedShards.open(list_shards(str(folder)), "text", id_column)


def as_lines(folder: Path, out: Path, changes: dict[int, dict[str, object]] | None = None) -> Path:
    """The shards of `folder` as JSON Lines; `changes` are further keys by number of the shard."""
    out.mkdir()
    for number, file in enumerate(sorted(folder.glob("*.parquet"))):
        table = pq.read_table(file)
        rows = [{**row, **(changes or {}).get(number, {})} for row in table.to_pylist()]
        (out / f"{file.stem}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_provenance(out, metadata_of(table.schema))
    return out


def test_lines_have_the_types_that_parquet_has(tmp_path: Path) -> None:
    data = annotate(tmp_path / "data", word_tokenizer(tmp_path / "tokenizer"))
    lines = as_lines(
        data, tmp_path / "lines", {0: {"id": 7, "n": 1, "meta": {"a": 1}}, 1: {"n": 0.5, "meta": {"b": []}}}
    )
    source = opened(lines)
    assert source.schema.field("toxic_spans").type == SPAN_LIST
    assert source.schema.field("n").type == pa.float64()
    rows = [row for _, batch in source.rows() for row in batch.to_pylist()]
    names = pq.read_schema(data / "part-0.parquet").names
    assert [{name: row[name] for name in names} for row in rows] == pq.read_table(data).to_pylist()
    assert (rows[0]["n"], rows[0]["id"], rows[-1]["id"], rows[-1]["meta"]) == (1.0, 7, None, {"a": None, "b": []})
    annotations = Annotations(source)
    found = [row for shard, batch in source.rows() for row in annotations.of(shard, batch).to_pylist()]
    assert (found[0]["id"], found[-1]["id"]) == ("7", None)


def test_numbers_that_would_change_are_refused(tmp_path: Path) -> None:
    data = annotate(tmp_path / "data", word_tokenizer(tmp_path / "tokenizer"))
    source = opened(as_lines(data, tmp_path / "lines", {0: {"n": 2**53 + 1}, 1: {"n": 0.5}}))
    with pytest.raises(InputError, match=r"part-0.*column 'n' cannot be double"):
        list(source.rows())
    other = as_lines(data, tmp_path / "other", {0: {"n": "one"}, 1: {"n": 0.5}})
    with pytest.raises(InputError, match=r"part-1.*has columns of other types than the shards before it"):
        opened(other)


def test_shards_that_were_annotated_otherwise_are_refused(tmp_path: Path) -> None:
    data = annotate(tmp_path / "data", word_tokenizer(tmp_path / "tokenizer"))
    table = pq.read_table(data / "part-1.parquet")
    pq.write_table(table.replace_schema_metadata({"ifcurate": "{}"}), data / "part-1.parquet")
    with pytest.raises(InputError, match=r"part-1.*was annotated otherwise than .*part-0"):
        opened(data)


@pytest.mark.parametrize(("file_bytes", "files"), [(1, 5), (160, 3), (10_000, 1)])
def test_files_are_cut_by_size_and_numbered(tmp_path: Path, file_bytes: int, files: int) -> None:
    schema = pa.schema({"n": pa.int64()})
    with NumberedFiles(tmp_path / "out", schema, file_bytes) as written:
        for first in range(0, 50, 10):
            written.write(pa.record_batch([pa.array(range(first, first + 10), pa.int64())], schema=schema))
    names = sorted(file.name for file in (tmp_path / "out").iterdir())
    assert names == [f"train-{number:05d}-of-{files:05d}.parquet" for number in range(files)]
    assert [n for name in names for n in pq.read_table(tmp_path / "out" / name)["n"].to_pylist()] == list(range(50))
    assert (written.rows, written.bytes) == (50, 400)


def test_no_rows_are_one_file(tmp_path: Path) -> None:
    with NumberedFiles(tmp_path, pa.schema({"n": pa.int64()}), 10):
        pass
    assert pq.read_table(tmp_path / "train-00000-of-00001.parquet").num_rows == 0
