from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from score_files import score_batch, write_scores

from ifcurate.annotation import schema
from ifcurate.annotation.columns import annotation_columns
from ifcurate.errors import InputError
from ifcurate.selection.algorithm import select
from ifcurate.selection.scores import TOKEN_IDS
from ifcurate.selection.settings import SelectionSettings
from ifcurate.selection.table import Selection, ShardRecords

INFLUENCE = [[0.0, 5.0, 0.0, 0.0, 0.0, 7.0], [], [9.0, 0.0], [0.0, 0.0]]
OFFSETS = [[(0, 4), (4, 7), (7, 8), (9, 10), (10, 11), (11, 12)], [], [(0, 1), (0, 1)], [(0, 0), (0, 2)]]


def selected(tmp_path: Path, settings: SelectionSettings) -> tuple[Selection, ShardRecords]:
    shards = [
        ("a", write_scores(tmp_path / "a.parquet", [[1.0]])),
        ("b", write_scores(tmp_path / "b.parquet", INFLUENCE, OFFSETS)),
    ]
    selection = select(shards, settings, tmp_path / "selection")
    return selection, ShardRecords.load(tmp_path / "selection", "toxic", "b")


def test_columns_by_hand(tmp_path: Path) -> None:
    selection, records = selected(
        tmp_path, SelectionSettings(quantile=0.7, neighbours=1, budget="100%", length_exponent=0)
    )
    assert selection.tau == pytest.approx(1.0)  # 11 scores, 7 of them 0: place 7 is the 1
    batch = score_batch(INFLUENCE, OFFSETS)
    columns = annotation_columns(batch, records.of_rows(0, 4), selection, "b")
    assert list(columns) == [TOKEN_IDS, *(field.name for field in schema.annotation_fields("toxic"))]
    for field in schema.annotation_fields("toxic"):
        assert columns[field.name].type == field.type
        assert columns[field.name].null_count == 0
    assert columns["token_ids"].to_pylist() == batch["token_ids"].to_pylist()
    assert columns["toxic_influence"].to_pylist() == INFLUENCE
    assert columns["toxic_mask"].to_pylist() == [
        [True, True, True, False, True, True],
        [],
        [True, True],
        [False, False],
    ]
    assert columns["toxic_spans"].to_pylist() == [
        [{"start": 0, "end": 8}, {"start": 10, "end": 12}],
        [],
        [{"start": 0, "end": 1}],
        [],
    ]
    assert columns["toxic_sparsity"].to_pylist() == [2, 0, 1, 0]
    assert columns["toxic_score"].to_pylist() == [12.0, 0.0, 9.0, 0.0]
    assert columns["toxic_rank"].to_pylist() == pytest.approx([1.0, 0.0, 2 * 0.5 * 0.75 / 1.25, 0.0])


def test_windows_add_up_and_the_highest_ranks(tmp_path: Path) -> None:
    settings = SelectionSettings(quantile=0.7, budget="100%", length_exponent=0, rank_by="window", context=2)
    selection, records = selected(tmp_path, settings)
    rows = records.of_rows(0, 4)
    assert rows["row"].to_pylist() == [0, 0, 0, 1, 2, 3]
    columns = annotation_columns(score_batch(INFLUENCE, OFFSETS), rows, selection, "b")
    assert columns["toxic_sparsity"].to_pylist() == [2, 0, 1, 0]
    assert columns["toxic_score"].to_pylist() == [12.0, 0.0, 9.0, 0.0]
    assert columns["toxic_rank"].to_pylist() == pytest.approx([2 * 7 / 9 / (1 + 7 / 9), 0.0, 1.0, 0.0])
    assert columns["toxic_mask"].to_pylist()[0] == [True, True, False, False, True, True]


def test_slices_give_what_the_whole_gives(tmp_path: Path) -> None:
    selection, records = selected(tmp_path, SelectionSettings(quantile=0.7, budget=4))
    batch = score_batch(INFLUENCE, OFFSETS)
    whole = annotation_columns(batch, records.of_rows(0, 4), selection, "b")
    for size in (1, 2, 3):
        parts = [
            annotation_columns(batch.slice(first, size), records.of_rows(first, size), selection, "b")
            for first in range(0, 4, size)
        ]
        for name, column in whole.items():
            assert pa.concat_arrays([part[name] for part in parts]).to_pylist() == column.to_pylist()
    nothing = annotation_columns(batch.slice(0, 0), records.of_rows(0, 0), selection, "b")
    assert {len(column) for column in nothing.values()} == {0}


def test_columns_survive_parquet(tmp_path: Path) -> None:
    selection, records = selected(tmp_path, SelectionSettings(quantile=0.7))
    columns = annotation_columns(score_batch(INFLUENCE, OFFSETS), records.of_rows(0, 4), selection, "b")
    table = pa.table(columns)
    pq.write_table(table, tmp_path / "out.parquet")
    assert pq.read_table(tmp_path / "out.parquet").equals(table)


def test_other_scores_are_refused(tmp_path: Path) -> None:
    selection, records = selected(tmp_path, SelectionSettings(quantile=0.7, budget="100%"))
    longer = [[0.0, *INFLUENCE[0]], *INFLUENCE[1:]]
    lower = [[score / 100 for score in document] for document in INFLUENCE]
    for influence, offsets in [(longer, None), (lower, OFFSETS), (INFLUENCE[:3], OFFSETS[:3])]:
        with pytest.raises(InputError, match=r"b\.parquet: the selection was made of other scores"):
            annotation_columns(score_batch(influence, offsets), records.of_rows(0, 4), selection, "b.parquet")


def test_a_large_batch_is_what_its_documents_are_alone(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    influence = [rng.normal(size=length).tolist() for length in rng.integers(0, 60, 100)]
    shards = [("b", write_scores(tmp_path / "b.parquet", influence))]
    selection = select(shards, SelectionSettings(quantile=0.9, budget="10%"), tmp_path)
    records = ShardRecords.load(tmp_path, "toxic", "b")
    batch = score_batch(influence)
    columns = annotation_columns(batch, records.of_rows(0, 100), selection, "b")
    assert sum(map(sum, columns["toxic_mask"].to_pylist())) == selection.tokens_selected == selection.budget_tokens
    for row in (0, 17, 99):
        alone = annotation_columns(batch.slice(row, 1), records.of_rows(row, 1), selection, "b")
        assert {name: column[0].as_py() for name, column in alone.items()} == {
            name: column[row].as_py() for name, column in columns.items()
        }
