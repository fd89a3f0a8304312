"""Documents that repeat themselves: how much they do, and that they give up nothing where a selection says so."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from score_files import score_batch

from ifcurate.selection.algorithm import select
from ifcurate.selection.repetition import LEAST_TOKENS, NGRAM, repeated_shares
from ifcurate.selection.scores import INT_LIST, TOKEN_IDS
from ifcurate.selection.settings import SelectionSettings
from ifcurate.selection.table import records_path
from ifcurate.training.repetition import repeated_share

ECHO = [7] * 20
"""Sixteen of its seventeen 4-grams occurred before."""


@given(st.lists(st.lists(st.integers(0, 2) | st.integers(0, 2**31 - 1), max_size=60), max_size=6))
def test_shares_are_those_of_counting_by_hand(documents: list[list[int]]) -> None:
    found = repeated_shares(pa.array([[1], *documents], INT_LIST).slice(1))
    by_hand = [repeated_share([ids], NGRAM) if len(ids) >= LEAST_TOKENS else 0.0 for ids in documents]
    assert found.tolist() == pytest.approx(by_hand, abs=1e-12)


def selected(folder: Path, influence: list[list[float]], ids: list[list[int]], **settings: float) -> list[list[float]]:
    """Tokens selected, sparsity and rank of every document, and how many were held back."""
    folder.mkdir()
    batch = score_batch(influence)
    batch = batch.set_column(batch.schema.get_field_index(TOKEN_IDS), TOKEN_IDS, pa.array(ids, INT_LIST))
    batch = batch.replace_schema_metadata(score_batch(influence).schema.metadata)
    pq.write_table(pa.Table.from_batches([batch]), folder / "a.parquet")
    chosen = SelectionSettings(**{"quantile": 0.5, "neighbours": 0, "budget": "100%", **settings})
    selection = select([("a", folder / "a.parquet")], chosen, folder / "selection")
    table = pq.read_table(records_path(folder / "selection", "toxic"))
    columns = [table[name].to_pylist() for name in ("selected", "sparsity", "rank")]
    return [*columns, [selection.documents_held_back, selection.tokens_above_tau]]


def test_what_repeats_itself_gives_up_nothing_and_ranks_as_if_no_token_of_it_were_above_tau(tmp_path: Path) -> None:
    plain = [[0.0] * 20 + [3.0], [0.0] * 18 + [3.0, 4.0], [0.0] * 20]
    ids = [ECHO, *(list(range(len(document))) for document in plain)]
    quiet = selected(tmp_path / "quiet", [[0.0] * 20, *plain], ids)
    held = selected(tmp_path / "held", [[9.0] * 20, *plain], ids, max_repetition=0.9, quantile=0.6)
    assert held[:3] == quiet[:3]
    assert (quiet[3], held[3]) == ([0, 3], [1, 3])


def test_the_share_itself_is_no_more_than_it(tmp_path: Path) -> None:
    found = selected(tmp_path / "echo", [[9.0] * 20, [0.0] * 40], [ECHO, list(range(40))], max_repetition=16 / 17)
    assert found[0] == [20, 0]
    assert found[3][0] == 0
