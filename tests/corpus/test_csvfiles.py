from __future__ import annotations

import csv
import gzip
import io
import tempfile
from pathlib import Path

import pyarrow as pa
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from ifcurate.corpus.csvfiles import CsvReader
from ifcurate.corpus.documents import read_documents
from ifcurate.corpus.shards import known, list_shards, open_shard
from ifcurate.errors import InputError

CELLS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)


def rows_of(path: Path) -> list[dict[str, str]]:
    (shard,) = list_shards(str(path))
    return [row for batch in open_shard(known(shard)).batches() for row in batch.to_pylist()]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(CELLS, CELLS), max_size=6), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_cells_come_back_as_they_were_written(rows: list[tuple[str, str]], end: str, mark: bool) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([("id", "text"), *rows])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.csv"
        path.write_bytes(b"\xef\xbb\xbf" * mark + text.getvalue().encode())
        assert rows_of(path) == [{"id": one, "text": other} for one, other in rows]


@pytest.mark.parametrize(
    ("suffix", "pack"), [(".csv.gz", gzip.compress), (".csv.zst", zstandard.compress), (".csv", bytes)]
)
def test_nothing_is_guessed(suffix: str, pack: object, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(pack(b'id,text,when\n007,"a,\n""b""",2024-01-01\n\n1.0,,NULL\n'))  # type: ignore[operator]
    assert rows_of(path) == [
        {"id": "007", "text": 'a,\n"b"', "when": "2024-01-01"},
        {"id": "1.0", "text": "", "when": "NULL"},
    ]
    (shard,) = list_shards(str(path))
    (batch,) = read_documents(shard)
    assert (batch.ids, batch.texts) == (["007", "1.0"], ['a,\n"b"', ""])


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"id,text\n1\n", "line 2: its row has 1 cells where the first line names 2 columns"),
        (b"id,text\n1,a,b\n", "line 2: its row has 3 cells"),
        (b'id,text\n1,"a\n', "line 2: is not valid CSV"),
        (b'id,text\n1,"a"b\n', "line 2: is not valid CSV"),
        (b"id,id\n1,2\n", "has several columns named 'id'"),
        (b"", "is empty, without a line of column names"),
    ],
)
def test_what_is_no_table_is_refused(content: bytes, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=problem):
        CsvReader(str(path))


def test_bytes_that_are_no_text_are_refused_by_row_or_skipped(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"text\ngood\nb\xffd\n")
    (shard,) = list_shards(str(tmp_path))
    with pytest.raises(InputError, match=r"a\.csv, row 1 \(counted from 0\): column 'text' is not UTF-8"):
        list(read_documents(shard))
    (batch,) = read_documents(shard, bad_rows="skip")
    assert (batch.texts, batch.skipped) == (["good", ""], {1})


def test_batches_are_bounded_and_pick_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.csv").write_text("a,b\n" + "x,1\n" * 5)
    reader = CsvReader(str(tmp_path / "a.csv"))
    assert [batch.num_rows for batch in reader.batches(["b"], rows=2)] == [2, 2, 1]
    monkeypatch.setattr("ifcurate.corpus.csvfiles.BATCH_BYTES", 2)
    assert [batch.num_rows for batch in reader.batches()] == [1] * 5
    assert next(reader.batches(["b", "a"])).schema == pa.schema([("b", pa.string()), ("a", pa.string())])
