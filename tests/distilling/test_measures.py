"""Rank correlation and overlap at the top."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ifcurate.distilling.losses import distillation_loss
from ifcurate.distilling.measures import rank_correlation, top_overlap
from ifcurate.influence.quantile_map import QuantileMap

values = st.lists(st.floats(-100, 100, width=32), min_size=2, max_size=50).map(np.array)


def test_rank_correlation_takes_the_mean_rank_of_equal_values() -> None:
    assert rank_correlation(np.array([1.0, 2.0, 2.0, 9.0]), np.array([0.0, 5.0, 5.0, 7.0])) == pytest.approx(1)
    assert rank_correlation(np.array([3.0, 2.0, 1.0]), np.array([0.1, 0.2, 7.0])) == pytest.approx(-1)
    found = rank_correlation(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 3.0, 2.0, 2.0]))
    assert found == pytest.approx(np.corrcoef([1, 2, 3, 4], [0, 3, 1.5, 1.5])[0, 1])
    assert rank_correlation(np.ones(3), np.arange(3.0)) == 0


def test_overlap_is_of_the_tokens_that_come_first() -> None:
    exact = np.array([9.0, 8.0, 7.0, 1.0, 0.0])
    assert top_overlap(np.array([9.0, 0.0, 1.0, 8.0, 0.0]), exact, 0.4) == 0.5
    assert top_overlap(exact, exact, 0.02) == 1.0
    assert top_overlap(-exact, exact, 0.2) == 0.0


@given(values)
def test_a_value_correlates_with_itself_and_with_what_rises_with_it(found: np.ndarray) -> None:
    wanted = 1 if len(np.unique(found)) > 1 else 0
    assert rank_correlation(found, found * 2) == pytest.approx(wanted, abs=1e-6)


def test_pairs_in_the_wrong_order_at_the_top_cost_most() -> None:
    targets = torch.tensor([3.0, 0.0, -1.0])
    right, wrong, low = (torch.tensor(said) for said in ([3.0, 0.0, -1.0], [0.0, 3.0, -1.0], [3.0, -1.0, 0.0]))
    losses = [float(distillation_loss(said, targets, 2.0)) for said in (right, wrong, low)]
    assert losses[0] < losses[2] < losses[1]
    assert losses[0] == pytest.approx((np.log1p(np.exp(-3)) + np.log1p(np.exp(-4))) / 2)
    assert float(distillation_loss(right, targets, 9.0)) == 0.0  # nothing is at the top


def test_a_quantile_map_gives_one_distribution_the_quantiles_of_the_other() -> None:
    generator = np.random.default_rng(0)
    found, exact = generator.normal(size=20_000), generator.standard_t(2, 20_000)
    mapped = QuantileMap.between(found, exact).of(found)
    shares = [0.001, 0.02, 0.5, 0.98, 0.999]
    assert np.quantile(mapped, shares) == pytest.approx(np.quantile(exact, shares), rel=0.05, abs=0.02)
    normal = QuantileMap.to_normal(exact).of(exact)
    assert (normal.mean(), normal.std()) == pytest.approx((0, 1), abs=0.01)


@given(values, values)
def test_a_quantile_map_keeps_the_order_and_survives_being_written(found: np.ndarray, exact: np.ndarray) -> None:
    try:
        scale = QuantileMap.between(found, exact)
    except ValueError:
        return
    points = np.linspace(-300, 300, 601)
    assert (np.diff(scale.of(points)) >= 0).all() and np.isfinite(scale.of(points)).all()
    assert QuantileMap.from_json(scale.to_json()) == scale


@pytest.mark.parametrize("constant", (np.zeros(0), np.ones(5)))
def test_a_distribution_without_two_values_has_no_map(constant: np.ndarray) -> None:
    with pytest.raises(ValueError, match="must rise"):
        QuantileMap.to_normal(constant)
