"""Bootstrap intervals of means and of ratios of sums: percentile method, 95 % (Efron & Tibshirani 1993, ch. 13)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
CONFIDENCE = 0.95
BLOCK_VALUES = 1 << 24
"""Counts held at once."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """An estimate and the bounds of its 95 % interval."""

    value: float
    low: float
    high: float

    def map(self, function: Callable[[float], float]) -> Interval:
        """The interval of an increasing function of the estimate."""
        return Interval(function(self.value), function(self.low), function(self.high))

    def excludes_zero(self) -> bool:
        """Whether zero lies outside: the sign of the estimate is then settled at this confidence."""
        return self.low > 0 or self.high < 0


def mean_intervals(values: Values, seed: int) -> list[Interval]:
    """Intervals of the column means of `values`, float64 [items, columns], items resampled with replacement.

    All columns share the resamples. For a paired difference, pass the differences.

    Raises:
        ValueError: no item, or a value is not finite.
    """
    return ratio_intervals(values, np.ones(len(values)), seed)


def mean_interval(values: Values, seed: int) -> Interval:
    """`mean_intervals` of one column."""
    return mean_intervals(np.asarray(values, np.float64)[:, None], seed)[0]


def ratio_intervals(numerators: Values, denominators: Values, seed: int) -> list[Interval]:
    """Intervals of sum(numerators) / sum(denominators), items resampled with replacement.

    Args:
        numerators: float64 [items, columns].
        denominators: positive float64 [items], such as the number of tokens of each document.
        seed: of the resampling.

    Raises:
        ValueError: no item, or a value is not finite.
    """
    items = len(denominators)
    if items == 0 or not (np.isfinite(numerators).all() and np.isfinite(denominators).all()):
        raise ValueError("bootstrap intervals need at least one item, and finite values")
    estimates = numerators.sum(0) / denominators.sum()
    resampled = np.concatenate(
        [(counts @ numerators) / (counts @ denominators)[:, None] for counts in _counts(items, seed)]
    )
    return percentile_intervals(estimates, resampled)


def crossed_intervals(numerators: Values, denominators: Values, seed: int) -> list[Interval]:
    """Intervals of sum(numerators) / sum(denominators) where each item was measured in each of several repetitions.

    Items and repetitions are resampled independently (the pigeonhole bootstrap, Owen 2007), so that both their
    variances enter. Of few repetitions it sees too little: n of them show (n - 1)/n of their variance, one none.

    Args:
        numerators: float64 [repetitions, items, columns].
        denominators: float64 [items], the same in every repetition, or [repetitions, items]; each repetition of each
            item weighs as much as its own says, and may weigh nothing.
        seed: of the resampling.

    Raises:
        ValueError: no item or repetition, or a value is not finite.
    """
    repetitions, items, _ = numerators.shape
    if not (repetitions and items and np.isfinite(numerators).all() and np.isfinite(denominators).all()):
        raise ValueError("bootstrap intervals need at least one item and repetition, and finite values")
    weighed = np.broadcast_to(denominators, (repetitions, items))
    estimates = numerators.sum((0, 1)) / weighed.sum()
    drawn = np.concatenate(list(_counts(repetitions, seed + 1)))
    resampled, first = [], 0
    for counts in _counts(items, seed):
        weights = drawn[first : first + len(counts)]
        first += len(counts)
        sums = sum(weights[:, [number]] * (counts @ values) for number, values in enumerate(numerators))
        totals = (weights * (counts @ weighed.T)).sum(1, keepdims=True)
        weighty = totals[:, 0] > 0  # resamples of items that all weigh nothing say nothing
        resampled.append(sums[weighty] / totals[weighty])
    return percentile_intervals(estimates, np.concatenate(resampled))


def percentile_intervals(estimates: Values, resampled: Values) -> list[Interval]:
    """Estimates [columns] with the middle 95 % of `resampled` ones [resamples, columns]."""
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail], axis=0)
    return [Interval(float(e), float(a), float(b)) for e, a, b in zip(estimates, low, high, strict=True)]


def _counts(items: int, seed: int) -> Iterator[Values]:
    """How often each item is drawn, [resamples, items], in blocks of bounded size."""
    generator = np.random.default_rng(seed)
    block = max(1, BLOCK_VALUES // items)
    for first in range(0, RESAMPLES, block):
        draws = [generator.integers(items, size=items) for _ in range(min(block, RESAMPLES - first))]
        yield np.stack([np.bincount(draw, minlength=items) for draw in draws]).astype(np.float64)
