from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from ifcurate.corpus.arrow import ArrowReader, is_stream, writing_arrow
from ifcurate.corpus.shards import known, list_shards, open_shard
from ifcurate.errors import InputError

TABLE = pa.table(
    {
        "text": ["a", None, "c", "d", "e"],
        "kind": pa.array(["x", "y", "x", "x", None]).dictionary_encode(),
        "ends": pa.array([[1], [], None, [2, 3], [4]], pa.large_list(pa.int8())),
    }
).replace_schema_metadata({"license": "mine"})


def written(path: Path, stream: bool, rows: int = 2) -> Path:
    new = pa.ipc.new_stream if stream else pa.ipc.new_file
    with new(str(path), TABLE.schema) as writer:
        writer.write_table(TABLE, max_chunksize=rows)
    return path


@pytest.mark.parametrize("stream", [True, False])
def test_files_and_streams_are_read_in_batches(stream: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "a.arrow", stream, rows=3)
    (shard,) = list_shards(str(tmp_path))
    reader = open_shard(known(shard))
    assert (reader.num_rows, reader.schema, is_stream(str(path))) == (5, TABLE.schema, stream)
    assert pa.Table.from_batches(reader.batches()).equals(TABLE)
    assert [batch.num_rows for batch in reader.batches(rows=2)] == [2, 1, 2]
    assert next(reader.batches(["ends", "text"])).schema.names == ["ends", "text"]
    assert reader.nulls("text") == 1
    monkeypatch.setattr("ifcurate.corpus.arrow.BATCH_BYTES", 1)
    assert [batch.num_rows for batch in reader.batches()] == [1] * 5


@pytest.mark.parametrize("stream", [True, False])
def test_a_sink_writes_what_it_is_given(stream: bool, tmp_path: Path) -> None:
    with writing_arrow(tmp_path / "a.arrow", TABLE.schema, stream) as sink:
        for batch in TABLE.to_batches(max_chunksize=2):
            sink.write(batch)
    reader = ArrowReader(str(tmp_path / "a.arrow"))
    assert sink.num_rows == 5
    assert is_stream(str(tmp_path / "a.arrow")) == stream
    assert pa.Table.from_batches(reader.batches()).equals(TABLE, check_metadata=True)


@pytest.mark.parametrize("stream", [True, False])
def test_a_file_that_is_cut_short_is_refused(stream: bool, tmp_path: Path) -> None:
    path = written(tmp_path / "a.arrow", stream)
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(InputError, match=r"a\.arrow: cannot be read as Arrow"):
        ArrowReader(str(path))


def test_dictionaries_that_grow_are_written(tmp_path: Path) -> None:
    grown = [pa.array(values).dictionary_encode() for values in (["x"], ["x", "y"])]
    schema = pa.schema([pa.field("kind", grown[0].type)])
    with writing_arrow(tmp_path / "a.arrow", schema, stream=False) as sink:
        for column in grown:
            sink.write(pa.RecordBatch.from_arrays([column], schema=schema))
    batches = ArrowReader(str(tmp_path / "a.arrow")).batches()
    assert [value for batch in batches for value in batch.column(0).to_pylist()] == ["x", "x", "y"]


def test_an_empty_stream_has_no_rows(tmp_path: Path) -> None:
    with pa.ipc.new_stream(str(tmp_path / "a.arrow"), TABLE.schema):
        pass
    reader = ArrowReader(str(tmp_path / "a.arrow"))
    assert (reader.num_rows, list(reader.batches())) == (0, [])
