"""Totals of a population from a random sample of its units, with the variance of the estimate (Cochran 1977, 6 and 11).

A unit has a size that is known for all of them, and a total that is known, or estimated in turn, for the sampled ones:
documents within a part of a file, parts within a shard, shards within a corpus.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

LEVEL = 0.95


@dataclass(frozen=True)
class Unit:
    """A sampled unit.

    Attributes:
        size: what its total is about proportional to.
        total: found for it, or estimated.
        variance: of that estimate; 0 where it was counted.
        freedom: degrees of freedom of the variance; infinite where it was counted.
    """

    size: float
    total: float
    variance: float = 0.0
    freedom: float = math.inf


@dataclass(frozen=True)
class Interval:
    """An estimate, and the ends of its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def half(self) -> float:
        """Half of its width, as a share of the value."""
        return (self.high - self.low) / 2 / self.value if self.value else 0.0

    def times(self, factor: float) -> Interval:
        """All of it, `factor` times as large."""
        return Interval(self.value * factor, self.low * factor, self.high * factor)


def ratio_estimate(sampled: Sequence[Unit], count: int, size: float) -> Unit:
    """All `count` units, `size` large together, as one whose total is that of the sampled ones in proportion to size.

    The variance has a part between units, none where all were sampled, and one within them. A single unit of several
    says nothing of how units differ: the variance is infinite then.
    """
    known = sum(unit.size for unit in sampled)
    total = sum(unit.total for unit in sampled)
    drawn = len(sampled)
    ratio = total / known if known else 0.0
    within = count / drawn * sum(unit.variance for unit in sampled)
    if drawn == count:
        freedom = min((unit.freedom for unit in sampled if unit.variance), default=math.inf)
        return Unit(size, total, within, freedom)
    if drawn == 1:
        return Unit(size, ratio * size, math.inf, 0)
    squares = sum((unit.total - ratio * unit.size) ** 2 for unit in sampled) / (drawn - 1)
    between = count**2 * (1 - drawn / count) * squares / drawn
    return Unit(size, ratio * size, between + within, drawn - 1)


def interval(estimate: Unit) -> Interval:
    """The 95 % interval of an estimated total, not below zero."""
    if not estimate.variance:
        return Interval(estimate.total, estimate.total, estimate.total)
    half = _t_quantile(estimate.freedom) * math.sqrt(estimate.variance)
    return Interval(estimate.total, max(0.0, estimate.total - half), estimate.total + half)


def _t_quantile(freedom: float) -> float:
    """Of Student's distribution at the upper end of the interval; exact for 1 and 2 degrees, to 1 % above."""
    share = (1 + LEVEL) / 2
    if freedom < 1:
        return math.inf
    if freedom == 1:
        return math.tan(math.pi * (share - 0.5))
    if freedom == 2:
        return (2 * share - 1) * math.sqrt(2 / (4 * share * (1 - share)))
    z = NormalDist().inv_cdf(share)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + sum(term / freedom**power for power, term in enumerate(terms, start=1))
