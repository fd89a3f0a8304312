from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from ifcurate.selection.ranking import WEIGHED, Cut, find_cut

RECORDS = 300_000
"""More than DuckDB gives in one batch."""


@pytest.fixture(scope="module")
def records() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    return {
        "position": np.arange(RECORDS),
        "rank": generator.integers(0, 1000, RECORDS) / 1000,
        "reach": generator.integers(0, 4, RECORDS),
        "weight": np.ones(RECORDS),
    }


@pytest.mark.parametrize("share", [0.0, 0.0001, 0.3, 0.6, 0.9999])
def test_the_cut_of_many_records_is_where_their_sum_passes_the_budget(
    records: dict[str, np.ndarray], share: float, tmp_path: Path
) -> None:
    position, rank, reach, _ = records.values()
    budget = int(share * reach.sum()) + 1
    order = np.lexsort((position, -rank))
    order = order[reach[order] > 0]
    before = np.cumsum(reach[order]) - reach[order]
    last = int(np.flatnonzero(before + reach[order] > budget)[0])
    batch = pa.RecordBatch.from_pydict(records, schema=WEIGHED)
    cut = find_cut(pa.RecordBatchReader.from_batches(WEIGHED, [batch]), budget, tmp_path)
    assert cut == Cut(int(position[order][last]), float(rank[order][last]), budget - int(before[last]))
    assert cut.allotment(position, rank, reach).sum() == budget


def test_a_budget_that_outlasts_the_corpus_is_cut_behind_it(records: dict[str, np.ndarray], tmp_path: Path) -> None:
    batch = pa.RecordBatch.from_pydict(records, schema=WEIGHED)
    for budget in (int(records["reach"].sum()), 10**12):
        cut = find_cut(pa.RecordBatchReader.from_batches(WEIGHED, [batch]), budget, tmp_path)
        assert (cut.position, cut.rank) == (-1, -math.inf)
        assert (
            cut.allotment(*(records[name] for name in ("position", "rank", "reach"))).tolist()
            == records["reach"].tolist()
        )
