"""Do two annotations of one corpus mark the same text? Counted in characters, so that tokenizers may differ.

White space does not count: whether a token takes the space before it is its tokenizer's habit. For characters A and B
that two annotations mark, the overlap is |A and B| / min(|A|, |B|): 1 where the smaller lies within the larger. Marks
that knew nothing of each other would share |A| |B| / N of N characters, so chance is max(|A|, |B|) / N.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ifcurate.evaluation.bootstrap import RESAMPLES, Interval, percentile_intervals
from ifcurate.selection.spans import Ranges

Counts = NDArray[np.int64]
ENCODING = "utf-32-le"
"""Four bytes a character, as Python counts them."""
MOST_RESAMPLED = 20_000
"""Items that are resampled; of more documents, neighbours are taken together."""
BLOCK_DRAWS = 1 << 22
"""Draws that are held at once."""


@dataclass(frozen=True)
class Overlap:
    """What two annotations share.

    Attributes:
        first: characters that the first one marks.
        second: characters that the second one marks.
        common: characters that both mark.
        characters: all there are.
        share: `common` / min(`first`, `second`), with its interval over documents; NaN where either marks nothing.
        chance: what `share` would be of marks that knew nothing of each other.
    """

    first: int
    second: int
    common: int
    characters: int
    share: Interval
    chance: float


def count_marked(texts: Sequence[str], spans: Sequence[Ranges]) -> Counts:
    """Characters other than white space: all of them, those that each annotation marks, and those that each two do.

    Args:
        texts: documents.
        spans: one an annotation, of these documents, in characters.

    Returns:
        int64 [documents, 1 + n * n] for n annotations: all, then entry i * n + j, marked by both i and j.

    Raises:
        ValueError: a range ends behind its text.
    """
    starts = np.cumsum([0, *map(len, texts)], dtype=np.int64)
    visible = _visible(texts)
    marked = [visible & _within(ranges, starts) for ranges in spans]
    counted = [visible, *(one & other for one in marked for other in marked)]
    return np.stack([_sums(each, starts) for each in counted], axis=1)


def overlap(counts: Counts, first: int, second: int, seed: int) -> Overlap:
    """What annotations number `first` and `second` share, by `count_marked` of all documents.

    The interval resamples documents, so that it knows how far single documents decide.
    """
    annotations = round((counts.shape[1] - 1) ** 0.5)
    places = [0, *(1 + one * annotations + other for one, other in ((first, first), (second, second), (first, second)))]
    chosen = counts[:, places].astype(np.float64)
    total = chosen.sum(0)
    characters, one, other, common = (int(value) for value in total)
    share = float("nan")
    interval = Interval(share, share, share)
    if one and other:
        drawn = _shares(_resampled(chosen, seed))
        interval = percentile_intervals(_shares(total[None]), drawn[:, None])[0]
    return Overlap(one, other, common, characters, interval, max(one, other) / characters if characters else 0.0)


def _visible(texts: Sequence[str]) -> NDArray[np.bool_]:
    """bool [characters of all texts]: which are no white space."""
    codes = np.frombuffer("".join(texts).encode(ENCODING, "surrogatepass"), np.uint32)
    known, places = np.unique(codes, return_inverse=True)
    return np.array([not chr(code).isspace() for code in known], np.bool_)[places]


def _within(ranges: Ranges, starts: Counts) -> NDArray[np.bool_]:
    """bool [characters of all texts]: which lie in a range."""
    documents = ranges.document_of
    if (ranges.ends > np.diff(starts)[documents]).any():
        raise ValueError("a range ends behind its text")
    steps = np.zeros(int(starts[-1]) + 1, np.int64)
    np.add.at(steps, starts[documents] + ranges.starts, 1)
    np.add.at(steps, starts[documents] + ranges.ends, -1)
    return steps.cumsum()[:-1] > 0


def _sums(values: NDArray[np.bool_], starts: Counts) -> Counts:
    """int64 [documents]: how many are true in each."""
    reached = np.append(0, np.cumsum(values, dtype=np.int64))
    return reached[starts[1:]] - reached[starts[:-1]]


def _resampled(counts: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Sums [resamples, columns] over as many documents, drawn with replacement."""
    generator = np.random.default_rng(seed)
    counts = np.add.reduceat(counts, np.arange(0, len(counts), -(-len(counts) // MOST_RESAMPLED)))
    items = len(counts)
    block = max(1, BLOCK_DRAWS // items)
    draws = (min(block, RESAMPLES - first) for first in range(0, RESAMPLES, block))
    return np.concatenate([generator.multinomial(items, np.full(items, 1 / items), size) @ counts for size in draws])


def _shares(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Overlap of each row; a draw without a mark of either shares nothing."""
    return sums[:, 3] / np.maximum(np.minimum(sums[:, 1], sums[:, 2]), 1)
