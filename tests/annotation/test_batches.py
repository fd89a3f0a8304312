"""Annotated shards as they come back from the tools that people use."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import datasets
import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ifcurate.annotation.batches import AnnotatedBatch
from ifcurate.annotation.schema import SPAN_LIST
from ifcurate.corpus.shards import list_shards, open_shard
from ifcurate.errors import InputError
from ifcurate.selection.scores import FLOAT_LIST, INT_LIST, MASK_LIST

TEXTS = ["ab", "", "cde", "f"]
IDS = [[1, 2], [], [3, 4, 5], [6]]
MARKED = {
    "some": ([[True, False], [], [False, True, True], [False]], [[(0, 1)], [], [(1, 3)], []]),
    "none": ([[False, False], [], [False, False, False], [False]], [[], [], [], []]),
}
INFLUENCE = [[0.5, -1.25], [], [3.0, 4.0, 5.0], [0.1]]


def annotated(marks: str) -> pa.Table:
    masks, spans = MARKED[marks]
    return pa.table(
        {
            "text": TEXTS,
            "token_ids": pa.array(IDS, INT_LIST),
            "toxic_mask": pa.array(masks, MASK_LIST),
            "toxic_spans": pa.array([[{"start": s, "end": e} for s, e in row] for row in spans], SPAN_LIST),
            "toxic_influence": pa.array(INFLUENCE, FLOAT_LIST),
        }
    )


def pandas(table: pa.Table, path: Path) -> Path:
    pd.DataFrame(table.to_pandas().to_dict(orient="list")).to_parquet(path)
    return path


def polars(table: pa.Table, path: Path) -> Path:
    pl.from_arrow(table).write_parquet(path)
    return path


def duck(table: pa.Table, path: Path) -> Path:
    duckdb.from_arrow(table).write_parquet(str(path))
    return path


def hugging_face(table: pa.Table, path: Path) -> Path:
    datasets.Dataset.from_list(table.to_pylist()).to_parquet(path)
    return path


def old_sequences(table: pa.Table, path: Path) -> Path:
    """Lists of dicts as `datasets` before version 4 stores them: a dict of lists."""
    rows = table["toxic_spans"].to_pylist()
    spans = [{part: [span[part] for span in row] for part in ("start", "end")} for row in rows]
    column = pa.array(spans, pa.struct({"start": pa.list_(pa.int32()), "end": pa.list_(pa.int32())}))
    pq.write_table(table.set_column(3, "toxic_spans", column), path)
    return path


def json_lines(table: pa.Table, path: Path) -> Path:
    path = path.with_suffix(".jsonl")
    path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    return path


def other_layouts(table: pa.Table, path: Path) -> Path:
    """Large lists, dictionary text, masks of 0 and 1, float64 scores."""
    columns = {
        "text": table["text"].dictionary_encode(),
        "token_ids": table["token_ids"].cast(pa.large_list(pa.int64())),
        "toxic_mask": table["toxic_mask"].cast(pa.large_list(pa.uint8())),
        "toxic_spans": table["toxic_spans"].cast(pa.large_list(SPAN_LIST.value_type)),
        "toxic_influence": table["toxic_influence"].cast(pa.large_list(pa.float64())),
    }
    pq.write_table(pa.table(columns), path)
    return path


def nulls_for_nothing(table: pa.Table, path: Path) -> Path:
    """A mask without marks and empty spans as nulls, in the list and instead of it."""
    masks = [[value or None for value in row] if any(row) else None for row in table["toxic_mask"].to_pylist()]
    spans = [row or None for row in table["toxic_spans"].to_pylist()]
    columns = {name: table[name] for name in ("text", "token_ids", "toxic_influence")}
    rewritten = columns | {"toxic_mask": pa.array(masks, MASK_LIST), "toxic_spans": pa.array(spans, SPAN_LIST)}
    pq.write_table(pa.table(rewritten), path)
    return path


TOOLS = [pandas, polars, duck, hugging_face, old_sequences, json_lines, other_layouts, nulls_for_nothing]


def flat(rows: list[list[Any]]) -> list[Any]:
    return list(chain.from_iterable(rows))


def batch_of(path: Path) -> AnnotatedBatch:
    (shard,) = list_shards(str(path))
    (batch,) = open_shard(shard).batches()
    return AnnotatedBatch(shard, 0, batch)


@pytest.mark.parametrize("marks", MARKED)
@pytest.mark.parametrize("tool", TOOLS)
def test_a_round_trip_changes_no_meaning(tool: Callable[[pa.Table, Path], Path], marks: str, tmp_path: Path) -> None:
    batch = batch_of(tool(annotated(marks), tmp_path / "a.parquet"))
    masks, spans = MARKED[marks]
    assert batch.texts("text") == TEXTS
    rows, ids = batch.token_ids("token_ids")
    assert ids.tolist() == flat(IDS)
    assert rows.tolist() == [0, 2, 2, 5, 6]
    assert batch.mask("toxic_mask", rows).tolist() == flat(masks)
    ranges = batch.spans("toxic_spans")
    found = list(zip(ranges.starts.tolist(), ranges.ends.tolist(), strict=True))
    assert [found[first:last] for first, last in pairwise(ranges.rows)] == spans
    assert batch.numbers("toxic_influence", rows).tolist() == np.float32(flat(INFLUENCE)).tolist()


REFUSED: list[tuple[str, Any, str]] = [
    ("mask", [[1, 2], [], [0, 0, 0], [0]], r"row 0: column 'column' holds .*2.0.*, no truth value"),
    ("mask", [[True, False], [], [True], [True]], r"row 2: column 'column' has 1 entries for 3 tokens"),
    ("mask", [["a", "b"], [], ["", "", ""], [""]], r"column 'column' is .*which holds no numbers"),
    ("mask", [1, 2, 3, 4], r"column 'column' is int64, no list"),
    ("token_ids", [[1, 2], None, [1], [2]], r"row 1: column 'column' is null, and its tokens are unknown"),
    ("token_ids", [[1, 2], [], [1, None], [2]], r"row 2: column 'column' holds a null token id"),
    ("token_ids", [[1, 2], [], [1.5], [2]], r"row 2: column 'column' holds .*1.5.*, which is no token id"),
    ("token_ids", [[1, 2], [], [2**31], [2]], r"row 2: .*which is no token id"),
    ("spans", [[{"start": 3, "end": 1}], [], [], []], r"row 0: column 'column' holds the range 3.0 to 1.0"),
    ("spans", [[], [{"start": 1, "end": None}], [], []], r"row 1: column 'column' holds the range 1.0 to nan"),
    ("spans", [[{"from": 3}], [], [], []], r"column 'column' is .*, not start and end"),
    ("spans", [[[0, 1]], [], [], []], r"column 'column' is .*, not start and end"),
    ("numbers", [[0.5, float("nan")], [], [1, 2, 3], [1]], r"row 0: column 'column' holds null, NaN or infinity"),
    ("numbers", [[0.5, 1], None, [1, 2, 3], [1]], r"row 1: column 'column' is null"),
]


@pytest.mark.parametrize(("kind", "values", "reason"), REFUSED)
def test_what_could_mean_something_else_is_refused(kind: str, values: Any, reason: str, tmp_path: Path) -> None:
    pq.write_table(pa.table({"column": values}), tmp_path / "a.parquet")
    batch, rows = batch_of(tmp_path / "a.parquet"), np.array([0, 2, 2, 5, 6])
    read: dict[str, Callable[[], object]] = {
        "mask": lambda: batch.mask("column", rows),
        "token_ids": lambda: batch.token_ids("column"),
        "spans": lambda: batch.spans("column"),
        "numbers": lambda: batch.numbers("column", rows),
    }
    with pytest.raises(InputError, match=f"a.parquet: {reason}.*; write the shard again"):
        read[kind]()
