from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from corpora import FORMATS, PYARROW, ROWS, typed_table, write_shard
from hypothesis import given, settings
from hypothesis import strategies as st

from ifcurate.annotation.schema import annotation_fields
from ifcurate.annotation.writer import write_annotated
from ifcurate.corpus import parquet
from ifcurate.corpus.parquet import metadata_of
from ifcurate.corpus.shards import Shard, list_shards
from ifcurate.errors import InputError
from ifcurate.selection.scores import FLOAT_LIST, INT_LIST, LOSS, TOKEN_IDS

TOKENS = pa.field(TOKEN_IDS, INT_LIST)


def annotation(behaviour: str, row: int) -> dict[str, Any]:
    marked = row % 2 == 1
    return {
        f"{behaviour}_influence": [0.5, -0.25][:row],
        f"{behaviour}_mask": [marked, False][:row],
        f"{behaviour}_spans": [{"start": 0, "end": 1}] if marked else [],
        f"{behaviour}_sparsity": row,
        f"{behaviour}_score": row / 2,
        f"{behaviour}_rank": 0.5,
    }


def tokens(row: int) -> list[int]:
    return [row, row + 1][:row]


def annotations(behaviour: str, rows: int, sizes: list[int] | None = None) -> Iterator[pa.RecordBatch]:
    """`rows` rows of annotations with token ids, in batches of the given sizes and a last one of what is left."""
    schema = pa.schema([TOKENS, *annotation_fields(behaviour)])
    first = 0
    for size in [*(sizes or []), rows]:
        chosen = range(first, min(first + size, rows))
        values = [{TOKEN_IDS: tokens(row), **annotation(behaviour, row)} for row in chosen]
        yield pa.RecordBatch.from_pylist(values, schema=schema)
        first += len(chosen)


def annotate(shard: Shard, path: Path, behaviour: str = "toxic", with_tokens: bool = True) -> int:
    fields = [TOKENS, *annotation_fields(behaviour)] if with_tokens else annotation_fields(behaviour)
    return write_annotated(shard, path, fields, annotations(behaviour, len(ROWS)), {behaviour: {"tau": 1.5}})


@pytest.mark.parametrize("suffix", FORMATS)
def test_columns_are_appended_row_by_row(tmp_path: Path, suffix: str) -> None:
    shard = write_shard(tmp_path / f"sub/a{suffix}", ROWS)
    path = shard.output(tmp_path / "data")
    assert annotate(shard, path) == len(ROWS)
    expected = [{**row, TOKEN_IDS: tokens(index), **annotation("toxic", index)} for index, row in enumerate(ROWS)]
    table = pq.read_table(path)
    assert table.to_pylist() == expected
    assert table.column_names == [*ROWS[0], TOKEN_IDS, *(field.name for field in annotation_fields("toxic"))]
    assert metadata_of(table.schema) == {"toxic": {"tau": 1.5}}
    assert list(path.parent.iterdir()) == [path]


def test_types_and_metadata_of_the_input_stay(tmp_path: Path) -> None:
    table = typed_table()
    pq.write_table(table, tmp_path / "a.parquet")
    field = pa.field("toxic_score", pa.float32())
    batch = pa.RecordBatch.from_arrays([pa.array([1, 2, 3], pa.float32())], schema=pa.schema([field]))
    [shard] = list_shards(str(tmp_path / "a.parquet"))
    write_annotated(shard, tmp_path / "out.parquet", [field], [batch], {"toxic": {}})
    written = pq.read_table(tmp_path / "out.parquet")
    assert written.drop_columns(["toxic_score"]).equals(table)
    assert written.schema.metadata == {**table.schema.metadata, b"ifcurate": b'{"toxic": {}}'}
    assert [field.metadata[b"unit"] for field in written.schema if field.name == "view"] == [b"none"]
    assert not written.schema.field("text").nullable


@settings(max_examples=25, deadline=None)
@given(sizes=st.lists(st.integers(0, 9), max_size=12))
def test_the_bytes_do_not_depend_on_how_annotations_arrive(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("law")
    shard = write_shard(folder / "a.jsonl", [{"text": str(row)} for row in range(40)])
    fields = [TOKENS, *annotation_fields("toxic")]
    for name, cut in (("one", []), ("other", sizes)):
        write_annotated(shard, folder / name, fields, annotations("toxic", 40, cut), {"toxic": {"a": 1}})
    assert (folder / "one").read_bytes() == (folder / "other").read_bytes()


def test_an_empty_shard_becomes_an_empty_file_with_our_columns(tmp_path: Path) -> None:
    shard = write_shard(tmp_path / "a.jsonl", [])
    assert write_annotated(shard, tmp_path / "out.parquet", annotation_fields("toxic"), [], {"toxic": {}}) == 0
    assert pq.read_table(tmp_path / "out.parquet").schema.equals(pa.schema(annotation_fields("toxic")))


def test_a_second_behaviour_goes_beside_the_first(tmp_path: Path) -> None:
    annotate(write_shard(tmp_path / "a.jsonl", ROWS), tmp_path / "once.parquet")
    annotate(list_shards(str(tmp_path / "once.parquet"))[0], tmp_path / "twice.parquet", "bias")
    once, twice = pq.read_table(tmp_path / "once.parquet"), pq.read_table(tmp_path / "twice.parquet")
    assert twice.column_names == [*once.column_names, *(field.name for field in annotation_fields("bias"))]
    assert twice.select(once.column_names).equals(once)
    assert metadata_of(twice.schema) == {"toxic": {"tau": 1.5}, "bias": {"tau": 1.5}}


def with_loss(path: Path, losses: list[list[float]]) -> Path:
    rows = [{"text": "t", LOSS: loss} for loss in losses]
    pq.write_table(pa.Table.from_pylist(rows, schema=pa.schema([("text", pa.string()), (LOSS, FLOAT_LIST)])), path)
    return path


@pytest.mark.parametrize(("stored", "fits"), [(2.0, True), (2.0005, True), (2.1, False)])
def test_a_second_behaviour_shares_the_loss_of_the_same_model(stored: float, fits: bool, tmp_path: Path) -> None:
    (shard,) = list_shards(str(with_loss(tmp_path / "a.parquet", [[], [stored]])))
    fields = [pa.field(LOSS, FLOAT_LIST), *annotation_fields("bias")]
    rows = [{LOSS: loss, **annotation("bias", row)} for row, loss in enumerate([[], [2.0]])]
    ours = [pa.RecordBatch.from_pylist(rows, schema=pa.schema(fields))]
    if not fits:
        with pytest.raises(InputError, match=r"a.parquet, row 1 .*'loss' holds other losses than this run's model has"):
            write_annotated(shard, tmp_path / "out.parquet", fields, ours, {"bias": {}})
        return
    write_annotated(shard, tmp_path / "out.parquet", fields, ours, {"bias": {}})
    written = pq.read_table(tmp_path / "out.parquet")
    assert written[LOSS].equals(pq.read_table(tmp_path / "a.parquet")[LOSS])
    assert written["bias_influence"].to_pylist() == [[], [0.5]]


def test_token_ids_of_another_tokenizer_are_refused_with_their_row(tmp_path: Path) -> None:
    rows = [{"text": "t", TOKEN_IDS: tokens(row)} for row in range(len(ROWS))]
    path = tmp_path / "out.parquet"
    annotate(write_shard(tmp_path / "same.jsonl", rows), path)
    assert pq.read_schema(path).field(TOKEN_IDS).type == pa.list_(pa.int64())
    rows[2] = {"text": "t", TOKEN_IDS: [7, 7]}
    path.unlink()
    with pytest.raises(InputError, match=r"row 2 \(counted from 0\): column 'token_ids' holds another tokenization"):
        annotate(write_shard(tmp_path / "other.jsonl", rows), path)
    assert not path.exists()
    annotate(write_shard(tmp_path / "other.jsonl", rows), path, with_tokens=False)
    assert pq.read_table(path)[TOKEN_IDS].to_pylist()[2] == [7, 7]


def test_equal_token_ids_may_have_any_type(tmp_path: Path) -> None:
    views = [pa.list_view(pa.int64())] if PYARROW >= 25 else []  # earlier ones do not write them
    for kind in (pa.large_list(pa.uint16()), pa.list_(pa.float64()), *views):
        table = pa.table({TOKEN_IDS: pa.array([tokens(row) for row in range(len(ROWS))], kind)})
        pq.write_table(table, tmp_path / "a.parquet")
        annotate(list_shards(str(tmp_path / "a.parquet"))[0], tmp_path / "out.parquet")
        assert pq.read_table(tmp_path / "out.parquet").select([TOKEN_IDS]).equals(table)


def test_a_column_that_is_there_already_is_refused(tmp_path: Path) -> None:
    shard = write_shard(tmp_path / "a.jsonl", [{"text": "t", "toxic_score": 0.1}])
    with pytest.raises(InputError, match=r"has a column 'toxic_score' already; give another --behaviour, or rename"):
        annotate(shard, tmp_path / "out.parquet")
    assert not (tmp_path / "out.parquet").exists()


def test_metadata_that_is_not_ours_is_refused(tmp_path: Path) -> None:
    for value in ("not JSON", "[1]"):
        table = pa.table({"text": ["t"]}).replace_schema_metadata({"ifcurate": value})
        pq.write_table(table, tmp_path / "a.parquet")
        with pytest.raises(InputError, match="has schema metadata under 'ifcurate' that is not ours"):
            annotate(list_shards(str(tmp_path / "a.parquet"))[0], tmp_path / "out.parquet")


@pytest.mark.parametrize(("scored", "message"), [(9, "more rows than the 9 scored"), (11, "only 10 rows, fewer than")])
def test_another_number_of_annotations_is_refused(tmp_path: Path, scored: int, message: str) -> None:
    shard = write_shard(tmp_path / "a.jsonl", [{"text": "t"}] * 10)
    path = tmp_path / "out.parquet"
    with pytest.raises(InputError, match=message):
        write_annotated(shard, path, annotation_fields("toxic"), annotations("toxic", scored), {})
    assert [file.name for file in tmp_path.iterdir()] == ["a.jsonl"]


def test_an_error_while_annotating_leaves_nothing(tmp_path: Path) -> None:
    def failing() -> Iterator[pa.RecordBatch]:
        yield from annotations("toxic", 5)
        raise KeyboardInterrupt

    shard = write_shard(tmp_path / "a.jsonl", [{"text": "t"}] * 10)
    with pytest.raises(KeyboardInterrupt):
        write_annotated(shard, tmp_path / "out/a.parquet", annotation_fields("toxic"), failing(), {})
    assert list((tmp_path / "out").iterdir()) == []


def test_row_groups_are_cut_by_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "ROW_GROUP_BYTES", 1 << 20)
    rows = [{"text": f"{row:08d}" * 100} for row in range(20_000)]
    shard = write_shard(tmp_path / "a.parquet", rows)
    write_annotated(shard, tmp_path / "out.parquet", annotation_fields("toxic"), annotations("toxic", 20_000), {})
    assert pq.read_metadata(tmp_path / "out.parquet").num_row_groups >= 3
    assert pq.read_table(tmp_path / "out.parquet")["text"].to_pylist() == [row["text"] for row in rows]


FULL_DISK = """
import resource, sys
from pathlib import Path
import pyarrow as pa
from ifcurate.annotation.writer import write_annotated
from ifcurate.errors import InputError
from ifcurate.corpus.shards import list_shards
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
field = pa.field("toxic_score", pa.float32())
batch = pa.record_batch([pa.nulls(5000, pa.float32())], schema=pa.schema([field]))
try:
    write_annotated(list_shards(sys.argv[1])[0], Path(sys.argv[2]), [field], [batch], {})
except InputError as error:
    print(error)
"""


def test_a_full_disk_is_said_in_one_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    shard = write_shard(tmp_path / "a.jsonl", [{"text": f"{row * 7919}" * 9} for row in range(5000)])
    path = tmp_path / "out/a.parquet"
    ran = subprocess.run([sys.executable, "-c", FULL_DISK, shard.path, path], capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.startswith(f"{path}: no space left to write this")
    assert list(path.parent.iterdir()) == []
