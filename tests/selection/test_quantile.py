from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ifcurate.errors import InputError
from ifcurate.selection.quantile import BINS, Bins, Histogram, Scan, keys_in, sort_keys, value_of, weighted_quantiles

finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
clustered = st.sampled_from([-1.0, -0.0, 0.0, 1e-45, 1.0, np.float32(1.0000001), 1.0078125, 3e38, -3e38])
samples = st.lists(st.one_of(finite, clustered), min_size=1, max_size=60).map(
    lambda values: np.array(values, np.float32)
)


def histogram_of(values: np.ndarray) -> Histogram:
    histogram = Histogram()
    histogram.add(values)
    return histogram


def scanning(*pieces: tuple[int, np.ndarray]) -> Scan:
    """Of a corpus whose values are at hand, each piece with the number of its stratum."""

    def scan(bins: Bins) -> Iterator[tuple[int, np.ndarray]]:
        return ((stratum, keys_in(bins, sort_keys(values))) for stratum, values in pieces)

    return scan


def quantile_of(counted: np.ndarray, quantile: float, pieces: Iterable[np.ndarray]) -> np.float32:
    """Of values that have one weight."""
    (found,) = weighted_quantiles([(1.0, histogram_of(counted))], [quantile], scanning(*((0, each) for each in pieces)))
    return found


def by_sorting(values: np.ndarray, quantile: float) -> np.float32:
    ordered = np.sort(values.astype(np.float64) + 0.0)
    position = quantile * (len(ordered) - 1)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return np.float32(ordered[below] + (ordered[above] - ordered[below]) * (position - below))


@given(samples, st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.5, 0.99, 1.0])), st.integers(1, 9))
def test_equals_the_quantile_of_the_sorted_values(values: np.ndarray, quantile: float, pieces: int) -> None:
    found = quantile_of(values, quantile, np.array_split(values, pieces))
    assert found.dtype == np.float32
    assert found == by_sorting(values, quantile)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(samples, st.integers(1, 9)), min_size=1, max_size=3), st.floats(0, 1), st.integers(1, 5))
def test_a_weighted_quantile_is_that_of_values_repeated(
    strata: list[tuple[np.ndarray, int]], quantile: float, pieces: int
) -> None:
    counted = [(float(weight), histogram_of(values)) for values, weight in strata]
    scan = [(n, part) for n, (values, _) in enumerate(strata) for part in np.array_split(values, pieces)][::-1]
    (found,) = weighted_quantiles(counted, [quantile], scanning(*scan))
    assert found == by_sorting(np.concatenate([np.repeat(values, weight) for values, weight in strata]), quantile)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(samples, st.floats(1, 200)), min_size=1, max_size=3), st.floats(0, 1))
def test_any_weights_give_a_value_with_its_share_on_both_sides(
    strata: list[tuple[np.ndarray, float]], quantile: float
) -> None:
    counted = [(weight, histogram_of(values)) for values, weight in strata]
    (found,) = weighted_quantiles(counted, [quantile], scanning(*enumerate(values for values, _ in strata)))
    values = np.concatenate([values for values, _ in strata])
    weights = np.concatenate([np.full(len(values), weight) for values, weight in strata])
    assert weights[values < found].sum() <= quantile * (weights.sum() - 1) + 1 + 1e-6
    assert weights[values > found].sum() <= (1 - quantile) * (weights.sum() - 1) + 2 + 1e-6
    ends = weighted_quantiles(counted, [0.0, 1.0], scanning(*enumerate(values for values, _ in strata)))
    assert ends == [values.min(), values.max()]


def test_rounding_of_weights_does_not_hide_the_largest_value() -> None:
    strata = [(np.array([0.0, 0.0, 0.5], np.float32), 30.981400108009066), (np.array([0, 0, 0, 1], np.float32), 1.0)]
    counted = [(weight, histogram_of(values)) for values, weight in strata]
    (found,) = weighted_quantiles(counted, [1.0], scanning(*enumerate(values for values, _ in strata)))
    assert found == 1.0


def test_agrees_with_numpy_on_many_values() -> None:
    values = np.random.default_rng(0).standard_t(3, 100_003).astype(np.float32)
    for quantile in (0.01, 0.5, 0.99, 0.9999):
        found = quantile_of(values, quantile, [values])
        assert found == np.float32(np.quantile(values.astype(np.float64), quantile))


def test_tied_corpus_and_hand_computed_values() -> None:
    tied = np.full(1000, 0.3, np.float32)
    assert quantile_of(tied, 0.99, [tied]) == np.float32(0.3)
    few = np.array([4, -2, 1, 3], np.float32)
    assert quantile_of(few, 0.5, [few]) == np.float32(2.0)
    assert quantile_of(few, 0.25, [few]) == np.float32(0.25)
    assert quantile_of(few[:1], 0.99, [few[:1]]) == np.float32(4.0)


@given(hnp.arrays(np.float32, st.integers(0, 50), elements=finite))
def test_keys_sort_as_values_and_come_back(values: np.ndarray) -> None:
    keys = sort_keys(values)
    assert np.array_equal(np.sort(values), values[np.argsort(keys, kind="stable")])
    assert [value_of(int(key)) for key in keys] == values.tolist()


def test_minus_zero_is_zero() -> None:
    assert histogram_of(np.array([-0.0], np.float32)) == histogram_of(np.array([0.0], np.float32))


@given(samples, samples)
def test_merging_counts_what_both_counted_and_text_comes_back(first: np.ndarray, second: np.ndarray) -> None:
    merged = histogram_of(first)
    merged.merge(histogram_of(second))
    assert merged == histogram_of(np.concatenate([first, second]))
    assert merged.total == len(first) + len(second)
    assert Histogram.from_text(merged.to_text()) == merged


def test_text_is_small_and_fits_into_json() -> None:
    text = histogram_of(np.random.default_rng(0).normal(size=1_000_000).astype(np.float32)).to_text()
    assert len(text) < 20_000
    assert json.loads(json.dumps(text)) == text
    assert Histogram.from_text(Histogram().to_text()) == Histogram()


@pytest.mark.parametrize("text", ["", "bm8=", "{}", Histogram().to_text()[:-8], f"!{Histogram().to_text()}"])
def test_other_text_is_no_histogram(text: str) -> None:
    with pytest.raises(ValueError, match="not a histogram"):
        Histogram.from_text(text)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_refuses_what_is_not_finite(wrong: float) -> None:
    with pytest.raises(InputError, match=r"shard-3: 1 of 3 scores are NaN or infinite, the first at position 1"):
        Histogram().add(np.array([1, wrong, 2], np.float32), "shard-3")


def test_refuses_an_empty_corpus_and_another_corpus() -> None:
    with pytest.raises(ValueError, match="no values"):
        weighted_quantiles([(1.0, Histogram())], [0.5], scanning())
    ones = np.ones(3, np.float32)
    with pytest.raises(ValueError, match="not those that the histogram counted"):
        quantile_of(ones, 0.5, [ones, ones])
    assert len(Histogram().counts) == BINS
