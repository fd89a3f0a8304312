"""Totals estimated from samples: known cases by hand, and intervals that hold as often as they say."""

import math
import random

import pytest

from ifcurate.planning.estimates import Interval, Unit, interval, ratio_estimate


def test_all_units_counted_leave_no_doubt():
    assert interval(ratio_estimate([Unit(2, 10), Unit(3, 12)], 2, 5)) == Interval(22, 22, 22)


def test_totals_in_proportion_to_size_leave_none_either():
    estimate = ratio_estimate([Unit(2, 20), Unit(3, 30)], 10, 100)
    assert (estimate.total, estimate.variance) == (1000, 0)


def test_two_of_four_units_by_hand():
    """Ratio 4; residuals -2 and 2, whose mean square is 8; 4^2 x (1 - 2/4) x 8 / 2 = 32, and 4/2 of what is within."""
    estimate = ratio_estimate([Unit(1, 2, variance=3), Unit(2, 10)], 4, 7)
    assert (estimate.total, estimate.variance, estimate.freedom) == (28, 32 + 6, 1)
    assert interval(estimate).high == pytest.approx(28 + 12.706 * math.sqrt(38), rel=1e-4)
    assert interval(estimate).low == 0


def test_one_unit_of_several_says_nothing_of_the_others():
    assert interval(ratio_estimate([Unit(1, 5)], 2, 2)).high == math.inf


@pytest.mark.parametrize(("freedom", "known"), [(1, 12.706), (2, 4.303), (3, 3.182), (7, 2.365), (31, 2.040)])
def test_quantiles_are_students(freedom, known):
    found = interval(Unit(1, 100, variance=1, freedom=freedom))
    assert found.high - 100 == pytest.approx(known, rel=0.01)
    assert found.half == pytest.approx(known / 100, rel=0.01)


def test_intervals_hold_as_often_as_they_say():
    generator = random.Random(0)
    units = [Unit(size, size * generator.uniform(2, 6)) for size in (generator.uniform(1, 4) for _ in range(200))]
    size, total = sum(unit.size for unit in units), sum(unit.total for unit in units)
    found = [interval(ratio_estimate(generator.sample(units, 12), len(units), size)) for _ in range(1000)]
    assert 0.91 < sum(each.low <= total <= each.high for each in found) / 1000 < 0.98
