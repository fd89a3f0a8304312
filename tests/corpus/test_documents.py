from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from corpora import FORMATS, ROWS, write_rows, write_shard

from ifcurate.corpus.documents import DocumentBatch, check_documents, read_documents
from ifcurate.corpus.shards import Shard, list_shards, open_shard
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


def write_ids(path: Path, ids: Sequence[str | None]) -> Shard:
    pq.write_table(pa.table({"id": ids, "text": ["t"] * len(ids)}), path)
    return list_shards(str(path.parent / glob.escape(path.name)))[0]


def test_ids_are_labels_that_may_repeat_or_be_absent(tmp_path: Path) -> None:
    shard = write_ids(tmp_path / "a.parquet", ["x", None, "x"])
    check_documents([shard, shard])
    assert [batch.ids for batch in read_documents(shard)] == [["x", "a:1", "x"]]


def test_columns_of_every_shard_are_checked(tmp_path: Path) -> None:
    fine = write_ids(tmp_path / "a.parquet", ["x"])
    check_documents([fine])
    with pytest.raises(InputError, match=r"b.jsonl: has no column 'text'"):
        check_documents([fine, write_shard(tmp_path / "b.jsonl", [{"content": "t"}])])


@pytest.mark.parametrize("suffix", FORMATS)
def test_null_texts_are_found_up_front(tmp_path: Path, suffix: str) -> None:
    rows = [{"text": text} for text in ("x", None, "", None)]
    shard = write_shard(tmp_path / f"a{suffix}", rows)
    said = (
        r"a\.\S+, row 1 \(counted from 0\): column 'text' is null, as it is in 2 of 4 rows; .* give --bad-rows skip\."
    )
    with pytest.raises(InputError, match=said):
        check_documents([shard])
    check_documents([shard], bad_rows="skip")


def test_nulls_are_counted_where_the_footer_does_not(tmp_path: Path) -> None:
    table = pa.table({"text": ["x", None, "y", None]})
    counts = []
    for number, statistics in enumerate((True, False)):
        pq.write_table(table, tmp_path / f"{number}.parquet", write_statistics=statistics, row_group_size=3)
        counts.append(open_shard(list_shards(str(tmp_path / f"{number}.parquet"))[0]).nulls("text"))
    assert counts == [2, 2]


def test_bad_rows_are_skipped_but_keep_their_place(tmp_path: Path) -> None:
    null = shard_of(tmp_path, text=pa.array(["a", None, "", "é"]))
    assert list(read_documents(null, bad_rows="skip", rows=3)) == [
        DocumentBatch(0, ["a:0", "a:1", "a:2"], ["a", "", ""], frozenset([1])),
        DocumentBatch(3, ["a:3"], ["é"]),
    ]
    broken = shard_of(tmp_path, text=pa.array([b"fine", b"\xff\xfe", b"", b"\xc3\xa9"]).view(pa.string()))
    [batch] = read_documents(broken, bad_rows="skip")
    assert batch == DocumentBatch(0, [f"a:{row}" for row in range(4)], ["fine", "", "", "é"], frozenset([1]))


def test_a_corrupt_shard_is_named(tmp_path: Path) -> None:
    shard = write_ids(tmp_path / "a.parquet", ["x"])
    Path(shard.path).write_bytes(Path(shard.path).read_bytes()[:-1])
    with pytest.raises(InputError, match=r"a\.parquet: cannot be read as Parquet"):
        check_documents([shard])
