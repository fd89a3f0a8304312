from __future__ import annotations

import numpy as np
import pytest

from ifcurate.evaluation.auc import auc_interval


def test_it_is_the_share_of_pairs_in_order_with_ties_as_half() -> None:
    generator = np.random.default_rng(0)
    scores = generator.integers(0, 6, 80) / 5
    positive = generator.random(80) < 0.3 + 0.4 * scores
    pairs = [(a > b) + (a == b) / 2 for a in scores[positive] for b in scores[~positive]]
    found = auc_interval(scores, positive, 0)
    assert found.value == pytest.approx(np.mean(pairs))
    assert found.low < found.value < found.high
    assert auc_interval(1 - scores, positive, 0).value == pytest.approx(1 - found.value)


def test_the_interval_has_the_width_that_theory_gives() -> None:
    generator = np.random.default_rng(1)
    positive = np.arange(600) < 200
    found = auc_interval(generator.normal(positive, 1), positive, 0)
    a = found.value
    pairs_of_positive, pairs_of_negative = a / (2 - a), 2 * a * a / (1 + a)  # Hanley & McNeil 1982
    variance = a * (1 - a) + 199 * (pairs_of_positive - a * a) + 399 * (pairs_of_negative - a * a)
    assert found.high - found.low == pytest.approx(2 * 1.96 * (variance / (200 * 400)) ** 0.5, rel=0.15)


def test_items_that_are_told_apart_leave_no_doubt() -> None:
    found = auc_interval(np.array([0.1, 0.2, 0.8]), np.array([False, False, True]), 0)
    assert (found.value, found.low, found.high) == (1, 1, 1)


@pytest.mark.parametrize("positive", [[True, True], [False, False]])
def test_one_class_has_none(positive: list[bool]) -> None:
    with pytest.raises(ValueError, match="positive and negative"):
        auc_interval(np.array([0.1, 0.2]), np.array(positive), 0)
