"""Charts count everything once, where it belongs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from ifcurate.report.database import counting
from ifcurate.report.distributions import BARS, CELLS, influence_bars, sparsity_against_score
from ifcurate.report.ranked import ranked_documents
from ifcurate.selection.quantile import Histogram
from ifcurate.selection.table import SELECTED


@settings(deadline=None)
@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=50))
def test_every_token_is_in_one_bar_near_its_influence(values: list[float]) -> None:
    histogram = Histogram()
    histogram.add(np.array(values, np.float32))
    bars = influence_bars(histogram)
    assert sum(bars["counts"]) == len(values) and len(bars["counts"]) == BARS
    width = (bars["high"] - bars["low"]) / BARS
    for value in values:
        place = (np.arcsinh(value / bars["scale"]) - bars["low"]) / width
        near = range(max(0, int(place) - 2), min(BARS, int(place) + 3))
        assert any(bars["counts"][bar] for bar in near)


def write_table(path: Path, rows: list[tuple[int, float, int]]) -> Path:
    documents = {name: [0] * len(rows) for name in SELECTED.names} | {"shard": ["a"] * len(rows)}
    documents |= {"row": list(range(len(rows))), "sparsity": [row[0] for row in rows]}
    documents |= {"score": [row[1] for row in rows], "selected": [row[2] for row in rows]}
    pq.write_table(pa.table(documents).cast(SELECTED), path)
    return path


def cells_of(table: Path) -> dict[str, Any]:
    with counting(table.parent) as database:
        ranked_documents(database, table)
        return sparsity_against_score(database)


def test_documents_are_counted_in_cells(tmp_path: Path) -> None:
    rows = [(0, 0.0, 0), (1, 0.001, 0), (1, 0.001, 1), (100, 50.0, 3), (10, -2.0, 0)]
    found = cells_of(write_table(tmp_path / "t.parquet", rows))
    assert found["without"] == 1 and found["most"] == 100
    corner = [CELLS[0] - 1, CELLS[1] - 1, 1, 1]
    assert corner in found["cells"], "the largest of both is in the last cell"
    assert [cell for cell in found["cells"] if cell[0] == 0] == [[0, found["cells"][0][1], 2, 1]]
    assert [24, 0, 1, 0] in found["cells"], "the lowest score is in the lowest row"
    assert sum(cell[2] for cell in found["cells"]) == 4


def test_a_corpus_without_a_token_above_tau_has_no_cell(tmp_path: Path) -> None:
    assert cells_of(write_table(tmp_path / "t.parquet", [(0, 0.0, 0)])) == {"without": 1, "cells": []}
