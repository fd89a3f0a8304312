import numpy as np
import pytest

from ifcurate.evaluation.bootstrap import Interval, mean_interval, mean_intervals, ratio_intervals


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
