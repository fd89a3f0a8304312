"""Scores of messages: only tokens of contents that carry a loss can be selected, neighbours in their message."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from score_files import write_scores

from ifcurate.checksums import checked
from ifcurate.corpus.parquet import attach, metadata_of_file
from ifcurate.selection.algorithm import select
from ifcurate.selection.quantile import Histogram
from ifcurate.selection.records import cut_records, reachable, whole_neighbourhoods
from ifcurate.selection.scores import (
    HISTOGRAMS,
    INT_LIST,
    LOSS_MASK,
    MASK_LIST,
    MESSAGE_STARTS,
    ON,
    ScoredTokens,
    Sidecar,
    selectable,
)
from ifcurate.selection.settings import SelectionSettings
from ifcurate.selection.summation import sum_sidecars

INFLUENCE = [[9.0, 1.0, 8.0, 9.0, 2.0, 0.5], [3.0, 4.0]]
OFFSETS = [[(0, 0), (6, 7), (7, 9), (9, 9), (20, 21), (21, 24)], [(3, 4), (4, 6)]]
MASK = [[False, True, True, True, True, True], [False, True]]
"""Of the first row the first token is the template's, the fourth an end of a turn, the fifth begins another message."""


def scores(path: Path) -> Path:
    write_scores(path, INFLUENCE, OFFSETS)
    table = pq.read_table(path)
    table = table.append_column(LOSS_MASK, pa.array(MASK, MASK_LIST))
    table = table.append_column(MESSAGE_STARTS, pa.array([[6, 20], [3]], INT_LIST))
    counted = Histogram()
    counted.add(np.array([1.0, 8.0, 2.0, 0.5, 4.0], np.float32))
    facts = {"size": 1, "rows": 2, "texts": "a" * 64, "skipped": 0}
    said = {ON: "replies", "shard": facts, HISTOGRAMS: {"toxic": counted.to_text()}}
    said |= {"directions": {"toxic": {"direction_hash": "b" * 64, "relative_error": None}}}
    pq.write_table(table.replace_schema_metadata(attach(table.schema, checked(said)).metadata), path)
    return path


def test_what_no_span_can_name_is_not_counted(tmp_path: Path) -> None:
    sidecar = Sidecar("a", scores(tmp_path / "a.parquet"), "toxic")
    assert np.concatenate([values for _, values in sidecar.influence()]).tolist() == [1.0, 8.0, 2.0, 0.5, 4.0]
    (batch,) = sidecar.batches()
    assert batch.tokens.rows.tolist() == [0, 4, 5]
    assert batch.apart is not None
    assert batch.apart.tolist() == [True, False, True, False, True]
    assert sidecar.document(1).influence.tolist() == [4.0]


def test_neighbours_are_of_the_same_message(tmp_path: Path) -> None:
    (batch,) = Sidecar("a", scores(tmp_path / "a.parquet"), "toxic").batches()
    records = cut_records(batch.tokens, None)
    assert reachable(batch, records, np.float32(5), 1).tolist() == [True, True, False, False, False]
    assert reachable(batch, records, np.float32(5), 9).tolist() == [True, True, False, False, False]
    room = np.array([2, 2])
    assert whole_neighbourhoods(batch, records, np.float32(5), 1, room).tolist() == [2, 0]
    together = ScoredTokens(batch.tokens, batch.influence)
    assert reachable(together, records, np.float32(5), 1).tolist() == [True, True, True, False, False]


def test_the_budget_is_a_share_of_what_is_counted(tmp_path: Path) -> None:
    settings = SelectionSettings(quantile=0.5, budget="60%", neighbours=0)
    selection = select([("a", scores(tmp_path / "a.parquet"))], settings, tmp_path / "selection")
    assert (selection.tokens, selection.budget_tokens, selection.tau) == (5, 3, 2.0)
    assert selection.tokens_selected == 2


def test_sums_over_checkpoints_keep_which_tokens_carry_a_loss(tmp_path: Path) -> None:
    path = scores(tmp_path / "a.parquet")
    assert sum_sidecars([path, path], "toxic", tmp_path / "sum.parquet") == 5
    table = pq.read_table(tmp_path / "sum.parquet")
    assert table["toxic_influence"].to_pylist() == [[2 * value for value in row] for row in INFLUENCE]
    assert table[LOSS_MASK].to_pylist() == MASK
    assert metadata_of_file(pq.read_metadata(tmp_path / "sum.parquet"))[ON] == "replies"
    (batch,) = table.to_batches()
    assert selectable(batch).tolist() == [False, True, True, False, True, True, False, True]
    assert (
        sum(float(values.sum()) for _, values in Sidecar("s", tmp_path / "sum.parquet", "toxic").influence())
        == 2 * 15.5
    )
