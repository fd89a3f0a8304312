"""Where a screen's threshold is: so that a share of the text lies above it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from ifcurate.selection.quantile import BINS, require_finite, sort_keys, value_of
from ifcurate.selection.spans import Ints

Screened = Callable[[], Iterable[tuple[NDArray[np.float32], Ints]]]
"""Gives what a screen says of documents, and their characters, in pieces of any size and order."""


@dataclass(frozen=True)
class Threshold:
    """Documents of which a screen says no less than `value` hold `share` of the characters of a corpus."""

    value: float
    share: float


def find_threshold(documents: Screened, share: float) -> Threshold:
    """The highest threshold at or above which documents hold at least `share` of the characters.

    Documents of which the screen says the same are all above it or none is. In two looks at histograms of constant
    size, so that nothing holds the corpus in memory, as tau is found.

    Args:
        documents: the corpus; called twice.
        share: in (0, 1].
    """
    upper = np.zeros(BINS, np.int64)
    lowest = np.float32(np.inf)
    for scores, characters in documents():
        require_finite(scores, "the screen")
        lowest = min(lowest, scores.min(initial=np.float32(np.inf)))
        np.add.at(upper, sort_keys(scores) >> 16, characters)
    total = int(upper.sum())
    if share >= 1 or total == 0:
        return Threshold(float(lowest) if np.isfinite(lowest) else 0.0, 1.0)
    wanted = share * total
    bin_ = _highest_reaching(upper, wanted)
    above = int(upper[bin_ + 1 :].sum())
    lower = np.zeros(BINS, np.int64)
    for scores, characters in documents():
        keys = sort_keys(scores)
        inside = keys >> 16 == bin_
        np.add.at(lower, keys[inside] & 0xFFFF, characters[inside])
    low_bits = _highest_reaching(lower, wanted - above)
    return Threshold(value_of(bin_ << 16 | low_bits), (above + int(lower[low_bits:].sum())) / total)


def draw_of(text: str, seed: int) -> float:
    """A number from [0, 1) that depends on nothing but the text and the seed, whatever else is in the corpus."""
    encoded = text.encode("utf-8", "surrogatepass")
    digest = blake2b(encoded, digest_size=8, key=seed.to_bytes(16, "little"), person=b"audit").digest()
    return int.from_bytes(digest[:7], "little") / (1 << 56)


def _highest_reaching(counts: NDArray[np.int64], wanted: float) -> int:
    """The highest place from which on `counts` hold `wanted`."""
    above = np.cumsum(counts[::-1])
    return len(counts) - 1 - int(np.searchsorted(above, wanted, side="left"))
