"""The exact quantile of a corpus of float32 scores, out of core.

A float32 has 32 bits, and mapped in the right way they sort as the number does. The upper half picks one of
65,536 bins: a histogram that each shard carries along and that adds up over shards. The lower half tells the values
inside a bin apart: a second histogram, counted for the one or two bins that hold the wanted order statistics. Two
histograms of constant size thus give any quantile of any corpus exactly, ties included.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ifcurate.errors import InputError

BINS = 1 << 16
_SIGN = np.uint32(1 << 31)


def sort_keys(values: NDArray[np.float32]) -> NDArray[np.uint32]:
    """Unsigned integers that sort as `values` (float32, finite) do; -0.0 and 0.0 have the same key."""
    bits: NDArray[np.uint32] = (values + np.float32(0)).view(np.uint32)
    all_ones_if_negative = (bits.view(np.int32) >> 31).view(np.uint32)
    return bits ^ (all_ones_if_negative | _SIGN)


def value_of(key: int) -> float:
    """The float32 whose sort key is `key`, exactly."""
    keys = np.array([key], dtype=np.uint32)
    bits = np.where(keys & _SIGN, keys ^ _SIGN, ~keys)
    return float(bits.view(np.float32)[0])


def require_finite(values: NDArray[np.float32], source: str) -> None:
    """Refuse NaN and infinity.

    Raises:
        InputError: naming `source`, the number of such values and the first one.
    """
    wrong = np.flatnonzero(~np.isfinite(values))
    if len(wrong):
        raise InputError(
            f"{source}: {len(wrong):,} of {len(values):,} scores are NaN or infinite, the first at position "
            f"{wrong[0]:,}; check the model, the direction and the dtype it was scored in."
        )


@dataclass(eq=False)
class Histogram:
    """Counts of scores by the upper 16 bits of their sort key; `counts` is int64 [65536]."""

    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(BINS, dtype=np.int64))

    @property
    def total(self) -> int:
        """Number of values counted."""
        return int(self.counts.sum())

    def add(self, values: NDArray[np.float32], source: str = "scores") -> None:
        """Count `values` (float32, any length).

        Raises:
            InputError: a value is NaN or infinite; the message names `source`.
        """
        require_finite(values, source)
        self.add_keys(sort_keys(values))

    def add_keys(self, keys: NDArray[np.uint32]) -> None:
        """Count values by their sort keys (uint32, any length)."""
        self.counts += np.bincount(keys >> 16, minlength=BINS)

    def merge(self, other: Histogram) -> None:
        """Add the counts of `other`."""
        self.counts += other.counts

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Histogram) and np.array_equal(self.counts, other.counts)

    def to_text(self) -> str:
        """The occupied bins as ASCII text, a few kilobytes for any number of values."""
        bins = np.flatnonzero(self.counts)
        occupied = {"bins": np.diff(bins, prepend=0).tolist(), "counts": self.counts[bins].tolist()}
        return base64.b64encode(zlib.compress(json.dumps(occupied).encode(), level=9)).decode("ascii")

    @classmethod
    def from_text(cls, text: str) -> Histogram:
        """What `to_text` wrote.

        Raises:
            ValueError: `text` is something else.
        """
        try:
            occupied = json.loads(zlib.decompress(base64.b64decode(text, validate=True)))
            bins, counts = np.cumsum(occupied["bins"], dtype=np.int64), np.array(occupied["counts"], dtype=np.int64)
            histogram = cls()
            histogram.counts[bins] = counts
        except (ValueError, KeyError, TypeError, IndexError, zlib.error) as error:
            raise ValueError(f"not a histogram: {error}") from error
        return histogram


Stratum = tuple[float, Histogram]
"""Values of one weight: how many values of the corpus each stands for, and how many there are."""

ROUNDING = 4
"""Units in the last place by which a rank may have come out below the sum of weights that it equals; of whole weights
no sum below 2^50 is as near to another."""

Bins = NDArray[np.uint32]
"""Some bins, by number."""
Scan = Callable[[Bins], Iterable[tuple[int, NDArray[np.uint32]]]]
"""Goes once over a corpus. Gives pieces of any size and order, each the number of a stratum and the sort keys (uint32)
of its values in some bins, see `keys_in`."""


def keys_in(bins: Bins, keys: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Those of `keys` (uint32) that are in one of `bins`, which are few."""
    upper = keys >> 16
    return keys[np.logical_or.reduce([upper == bin_ for bin_ in bins])]


def weighted_quantiles(strata: Sequence[Stratum], quantiles: Sequence[float], scan: Scan) -> list[np.float32]:
    """The `quantiles` of all values of a corpus, interpolated linearly between the two nearest (as `numpy.quantile`).

    Every value stands for as many as its weight says: with whole weights these are the quantiles of all values, each
    repeated. Weights of strata are multiplied with counts, so the result does not depend on the order of the values.

    Args:
        strata: weight and counts of each.
        quantiles: each in [0, 1].
        scan: over the corpus; called once.

    Returns:
        float32: interpolated in float64 between the order statistics around `quantile * (n - 1)`, then rounded.

    Raises:
        ValueError: no value has a weight, or `scan` gives other values than were counted.
    """
    total = sum(weight * histogram.total for weight, histogram in strata)
    if total == 0:
        raise ValueError("no values: the quantile of nothing is not defined")
    positions = [quantile * (total - 1) for quantile in quantiles]
    ranks = [float(np.floor(position)) for position in positions]
    above = [min(rank + 1, total - 1) for rank in ranks]
    nearest = order_statistics(strata, ranks + above, scan)
    found = []
    for position, rank, next_, lower, upper in zip(
        positions, ranks, above, nearest, nearest[len(ranks) :], strict=False
    ):
        part = (position - rank) / (next_ - rank) if next_ > rank else 0.0
        found.append(np.float32(lower + (upper - lower) * part))
    return found


def order_statistics(strata: Sequence[Stratum], ranks: Sequence[float], scan: Scan) -> list[float]:
    """The least values up to which the corpus weighs more than `ranks`; arguments of `weighted_quantiles`.

    Of weights that are all 1 these are the values at zero-based ranks of the sorted corpus.
    """
    weights = [weight for weight, _ in strata]
    cumulative = np.cumsum(_weighed(weights, [histogram.counts for _, histogram in strata]))
    ranks = [rank + ROUNDING * float(np.spacing(rank)) for rank in ranks]
    bins = [int(np.searchsorted(cumulative, rank, side="right")) for rank in ranks]
    inside = {bin_: [np.zeros(BINS, dtype=np.int64) for _ in strata] for bin_ in bins}
    for stratum, keys in scan(np.unique(bins).astype(np.uint32)):
        for bin_, counts in inside.items():
            counts[stratum] += np.bincount(keys[keys >> 16 == bin_] & 0xFFFF, minlength=BINS)
    for bin_, counts in inside.items():
        if [int(found.sum()) for found in counts] != [int(histogram.counts[bin_]) for _, histogram in strata]:
            raise ValueError("the values scanned are not those that the histogram counted")
    found = []
    for rank, bin_ in zip(ranks, bins, strict=True):
        before = cumulative[bin_ - 1] if bin_ else 0.0
        within = np.cumsum(_weighed(weights, inside[bin_]))
        highest = int(np.searchsorted(within, within[-1]))  # for where rounding puts a rank behind all
        low_bits = min(int(np.searchsorted(within, rank - before, side="right")), highest)
        found.append(value_of(bin_ << 16 | low_bits))
    return found


def _weighed(weights: Sequence[float], counts: Sequence[NDArray[np.int64]]) -> NDArray[np.float64]:
    """float64 [bins]: the sum of counts (int64 [bins]), each multiplied with its weight."""
    return np.sum([weight * found for weight, found in zip(weights, counts, strict=True)], axis=0)
