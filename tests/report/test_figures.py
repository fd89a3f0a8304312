from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ifcurate.report.dataset_card import size_category
from ifcurate.report.figures import BARS, influence_bars, marked_shares
from ifcurate.selection.quantile import Histogram
from ifcurate.selection.table import SELECTED


@pytest.mark.parametrize("values", [np.random.default_rng(0).normal(size=5000), np.zeros(7), np.array([-3e38, 3e38])])
def test_every_token_is_in_a_bar(values: np.ndarray) -> None:
    histogram = Histogram()
    histogram.add(values.astype(np.float32))
    centres, heights = influence_bars(histogram)
    assert heights.sum() == len(values)
    assert len(centres) == BARS
    assert np.isfinite(centres).all()


def test_shares_of_marked_tokens_are_those_of_records_by_rank(tmp_path: Path) -> None:
    ranks = np.random.default_rng(0).permutation(300) / 300
    selected = (ranks > 0.5).astype(np.int32) * 3
    columns = {
        "shard": ["a"] * 300,
        "row": range(300),
        "window": [0] * 300,
        "tokens": [4] * 300,
        "sparsity": selected,
        "score": ranks,
        "rank": ranks,
        "selected": selected,
    }
    pq.write_table(pa.table(columns, schema=SELECTED), tmp_path / "records [1].parquet")
    shares = marked_shares(tmp_path / "records [1].parquet")
    assert len(shares) == BARS
    assert shares.tolist() == sorted(shares, reverse=True)
    assert shares.mean() == pytest.approx(0.75 * (ranks > 0.5).mean(), abs=0.01)


def test_sizes_are_called_as_on_the_hub() -> None:
    named = {1: "n<1K", 999: "n<1K", 1000: "1K<n<10K", 10**6: "1M<n<10M", 10**12: "n>1T"}
    assert {rows: size_category(rows) for rows in named} == named
