import numpy as np
import pytest

from ifcurate.evaluation.bootstrap import Interval, crossed_intervals, mean_interval, mean_intervals, ratio_intervals


def test_the_interval_of_a_mean_has_the_width_that_theory_gives():
    values = np.random.default_rng(0).normal(3, 2, 400)
    found = mean_interval(values, 1)
    half = 1.96 * values.std() / 20
    assert found.value == pytest.approx(values.mean())
    assert found.high - found.value == pytest.approx(half, rel=0.1)
    assert found.value - found.low == pytest.approx(half, rel=0.1)


def test_intervals_cover_the_truth_about_95_times_in_100():
    generator = np.random.default_rng(0)
    samples = generator.exponential(1, (80, 300))
    covered = sum(interval.low <= 1 <= interval.high for interval in mean_intervals(samples, 0))
    assert covered >= 270  # 300 columns of 80 items: 282 on average for skewed data


def test_pairing_narrows_the_interval_of_a_difference():
    generator = np.random.default_rng(0)
    one = generator.normal(0, 1, 200)
    other = one + generator.normal(0.1, 0.1, 200)
    paired = mean_interval(other - one, 0)
    assert paired.excludes_zero() and paired.low > 0
    apart = [mean_interval(each, 0) for each in (one, other)]
    assert apart[0].high > apart[1].low


def test_a_ratio_is_of_sums_and_not_of_means_of_ratios():
    numerators, denominators = np.array([[10.0], [1.0]]), np.array([10.0, 2.0])
    found = ratio_intervals(numerators, denominators, 0)[0]
    assert found.value == pytest.approx(11 / 12)
    assert (found.low, found.high) == (0.5, 1.0)


def test_repetitions_and_items_are_both_resampled():
    generator = np.random.default_rng(0)
    repetitions, items = generator.normal(0, 1, (30, 1, 1)), generator.normal(0, 3, (1, 40, 1))
    found = crossed_intervals(2 + repetitions + items, np.ones(40), 0)[0]
    variance = repetitions.var() / 30 + items.var() / 40
    assert found.value == pytest.approx(2 + repetitions.mean() + items.mean())
    assert found.high - found.low == pytest.approx(2 * 1.96 * variance**0.5, rel=0.1)


def test_one_repetition_is_the_interval_over_items():
    generator = np.random.default_rng(0)
    values, tokens = generator.normal(1, 1, (60, 2)), generator.integers(1, 9, 60).astype(float)
    assert crossed_intervals(values[None], tokens, 3) == ratio_intervals(values, tokens, 3)
    assert crossed_intervals(np.stack([values, values]), tokens, 3)[0].value == pytest.approx(
        ratio_intervals(values, tokens, 3)[0].value
    )
    with pytest.raises(ValueError, match="repetition"):
        crossed_intervals(np.zeros((0, 3, 1)), np.ones(3), 0)


def test_same_seed_same_interval_in_blocks_of_any_size(monkeypatch):
    values = np.random.default_rng(0).random((50, 2))
    whole = mean_intervals(values, 3)
    monkeypatch.setattr("ifcurate.evaluation.bootstrap.BLOCK_VALUES", 77)
    blocks = mean_intervals(values, 3)
    for one, other in zip(whole, blocks, strict=True):
        assert (one.value, one.low, one.high) == pytest.approx((other.value, other.low, other.high), abs=1e-12)


def test_what_has_no_mean_is_refused():
    for values in (np.zeros(0), np.array([1.0, np.nan]), np.array([np.inf])):
        with pytest.raises(ValueError, match="finite"):
            mean_interval(values, 0)
    assert Interval(1, 0, 4).map(lambda x: 2 * x) == Interval(2, 0, 8)
