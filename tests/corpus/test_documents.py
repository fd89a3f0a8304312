from __future__ import annotations

import glob
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from corpora import FORMATS, ROWS, write_rows, write_shard

from ifcurate.corpus import documents
from ifcurate.corpus.documents import DocumentBatch, check_documents, find_duplicate_id, read_documents
from ifcurate.corpus.shards import Shard, list_shards
from ifcurate.errors import InputError


def shard_of(folder: Path, **columns: pa.Array) -> Shard:
    pq.write_table(pa.table(columns), folder / "a.parquet")
    return list_shards(str(folder / "a.parquet"))[0]


def refusal(shard: Shard, text_column: str = "text", id_column: str | None = None) -> str:
    with pytest.raises(InputError) as error:
        list(read_documents(shard, text_column, id_column))
    return str(error.value)


@pytest.mark.parametrize("suffix", FORMATS)
def test_documents_come_in_order_with_their_rows(tmp_path: Path, suffix: str) -> None:
    shard = write_shard(tmp_path / f"a{suffix}", ROWS)
    assert list(read_documents(shard, "text", rows=3)) == [
        DocumentBatch(0, ["a", "b", "c"], [row["text"] for row in ROWS[:3]]),
        DocumentBatch(3, ["d"], [ROWS[3]["text"]]),
    ]


def test_ids_come_from_the_column_asked_for_then_from_id_then_from_the_row(tmp_path: Path) -> None:
    rows = [{"id": f"i{n}", "key": n, "text": "t"} for n in range(3)]
    shard = write_shard(tmp_path / "sub/a.jsonl", rows)
    assert [batch.ids for batch in read_documents(shard, "text", "key")] == [["0", "1", "2"]]
    assert [batch.ids for batch in read_documents(shard, "text")] == [["i0", "i1", "i2"]]
    write_rows(tmp_path / "sub/a.jsonl", [{"text": "t"}] * 3)
    [shard] = list_shards(str(tmp_path))
    assert [batch.ids for batch in read_documents(shard, "text", rows=2)] == [["sub/a:0", "sub/a:1"], ["sub/a:2"]]


def test_the_text_may_be_the_id(tmp_path: Path) -> None:
    [batch] = read_documents(write_shard(tmp_path / "a.jsonl", [{"text": "t"}]), "text", "text")
    assert batch == DocumentBatch(0, ["t"], ["t"])


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())], ids=str
)
def test_every_layout_of_strings_is_text(tmp_path: Path, kind: pa.DataType) -> None:
    shard = shard_of(tmp_path, text=pa.array(["a", "", "é"], kind), id=pa.array(["x", "y", "z"], kind))
    assert list(read_documents(shard, "text")) == [DocumentBatch(0, ["x", "y", "z"], ["a", "", "é"])]


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_an_empty_shard_has_no_documents(tmp_path: Path, suffix: str) -> None:
    assert list(read_documents(write_shard(tmp_path / f"a{suffix}", []), "text")) == []


def test_a_missing_column_is_named_beside_those_there_are(tmp_path: Path) -> None:
    shard = write_shard(tmp_path / "a.jsonl", [{"content": "t", "n": 1}])
    assert "a.jsonl: has no column 'text'; give --text-column one of its columns (content, n)" in refusal(shard)
    assert "has no column 'key'; give --id-column one of" in refusal(shard, "content", "key")


def test_values_that_are_no_text_are_named_with_their_row(tmp_path: Path) -> None:
    text = pa.array(["x"] * 5000)
    nulls = pa.array([*["x"] * 4999, None])
    assert "row 4999 (counted from 0): column 'text' is null" in refusal(shard_of(tmp_path, text=nulls))
    assert "row 4999 (counted from 0): column 'id' is null" in refusal(shard_of(tmp_path, text=text, id=nulls))
    assert "row 0 (counted from 0): column 'text' is null" in refusal(shard_of(tmp_path, text=pa.nulls(2)))
    assert "column 'text' holds int64, not strings" in refusal(shard_of(tmp_path, text=pa.array([1])))
    assert "column 'text' holds binary, not strings" in refusal(shard_of(tmp_path, text=pa.array([b"x"])))
    assert "column 'id' holds double" in refusal(shard_of(tmp_path, text=text[:1], id=pa.array([0.5])))


def test_text_that_is_not_utf8_is_named_with_its_row(tmp_path: Path) -> None:
    broken = pa.array([b"fine", b"\xff\xfe"]).view(pa.string())
    assert "row 1 (counted from 0): column 'text' is not UTF-8" in refusal(shard_of(tmp_path, text=broken))


def test_a_column_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    twice = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    pq.write_table(twice, tmp_path / "a.parquet")
    assert "has 2 columns named 'text'" in refusal(list_shards(str(tmp_path))[0])


def write_ids(path: Path, ids: list[str] | list[int]) -> Shard:
    pq.write_table(pa.table({"id": ids, "text": ["t"] * len(ids)}), path)
    return list_shards(str(path.parent / glob.escape(path.name)))[0]


def test_a_duplicate_id_is_found_within_and_across_shards(tmp_path: Path) -> None:
    one = write_ids(tmp_path / "one[1].parquet", [f"{n:05d}" for n in range(9000)])
    two = write_ids(tmp_path / "two.parquet", ["x", "00042", "08999", "y"])
    three = write_ids(tmp_path / "three.parquet", ["", "z", ""])
    none = write_ids(tmp_path / "none.parquet", [])
    assert find_duplicate_id([]) is None
    assert find_duplicate_id([one, none]) is None
    assert find_duplicate_id([one, none, two]) == ("00042", f"{one.path}, row 42", f"{two.path}, row 1")
    assert find_duplicate_id([two, one]) == ("00042", f"{two.path}, row 1", f"{one.path}, row 42")
    assert find_duplicate_id([three]) == ("", f"{three.path}, row 0", f"{three.path}, row 2")


def test_ids_of_every_kind_are_compared_and_generated_ones_left_out(tmp_path: Path) -> None:
    numbers = write_ids(tmp_path / "numbers.parquet", [7, 8])
    lines = write_shard(tmp_path / "lines.jsonl", [{"id": "8", "text": "t"}])
    nameless = [write_shard(tmp_path / f"{n}.jsonl", [{"text": "t"}] * 2) for n in range(2)]
    assert find_duplicate_id([numbers, *nameless]) is None
    assert find_duplicate_id([numbers, *nameless, lines]) == ("8", f"{numbers.path}, row 1", f"{lines.path}, row 0")
    with pytest.raises(InputError, match=r"numbers.parquet, row 0: its id '8' is that of .*lines.jsonl, row 0, too"):
        check_documents([lines, write_ids(tmp_path / "numbers.parquet", [8])])


def test_columns_of_every_shard_are_checked_without_reading_texts(tmp_path: Path) -> None:
    fine = write_ids(tmp_path / "a.parquet", ["x"])
    check_documents([fine])
    with pytest.raises(InputError, match=r"b.jsonl: has no column 'text'"):
        check_documents([fine, write_shard(tmp_path / "b.jsonl", [{"content": "t"}])])
    with pytest.raises(InputError, match=r"c.jsonl, row 1 .*: column 'id' is null"):
        check_documents([fine, write_shard(tmp_path / "c.jsonl", [{"id": "a", "text": "t"}, {"text": "t"}])])


def test_a_corrupt_shard_is_named(tmp_path: Path) -> None:
    shard = write_ids(tmp_path / "a.parquet", ["x"])
    Path(shard.path).write_bytes(Path(shard.path).read_bytes()[:-1])
    with pytest.raises(InputError, match=r"a\.parquet: cannot be read as Parquet"):
        find_duplicate_id([shard])


def test_ids_beyond_memory_are_spilled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MEMORY_FOR_IDS", "40MB")
    unique = [f"document number {n:040d}" for n in range(400_000)]
    shards = [write_ids(tmp_path / "0.parquet", unique), write_ids(tmp_path / "1.parquet", ["once", unique[-1]])]
    found = find_duplicate_id(shards)
    assert found == (unique[-1], f"{shards[0].path}, row 399999", f"{shards[1].path}, row 1")


def test_no_space_to_spill_is_said_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise duckdb.OutOfMemoryException("failed to offload data block: max_temp_directory_size reached")

    monkeypatch.setattr(documents, "_smallest_repeated", full)
    with pytest.raises(InputError, match="no space left to check that ids are unique"):
        find_duplicate_id([write_ids(tmp_path / "a.parquet", ["x"])])
