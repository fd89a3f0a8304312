"""How near one list of scores comes to another: in order, and in what it puts first."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.floating[Any]]


def rank_correlation(found: Scores, exact: Scores) -> float:
    """Spearman's: the correlation of ranks, equal values at the mean of theirs; 0 where either is constant."""
    ranks = [_ranks(values) for values in (found, exact)]
    spreads = [float(each.std()) for each in ranks]
    if not all(spreads):
        return 0.0
    centred = [each - each.mean() for each in ranks]
    return float(np.clip((centred[0] * centred[1]).mean() / (spreads[0] * spreads[1]), -1, 1))


def top_overlap(found: Scores, exact: Scores, share: float) -> float:
    """Share of the tokens of the highest exact scores, a `share` of all and at least one, that are found so too."""
    count = max(1, round(share * len(exact)))
    first, second = (np.argsort(-values, kind="stable")[:count] for values in (found, exact))
    return len(np.intersect1d(first, second)) / count


def _ranks(values: Scores) -> NDArray[np.float64]:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts + 1) / 2)[places]
