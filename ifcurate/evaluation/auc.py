"""The area under the ROC curve: how often a positive item scores above a negative one (Hanley & McNeil 1982)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ifcurate.evaluation.bootstrap import RESAMPLES, Interval, percentile_intervals


def auc_interval(scores: NDArray[np.floating], positive: NDArray[np.bool_], seed: int) -> Interval:
    """AUC, ties counted as half, with a 95 % interval over items; positive and negative ones are resampled apart.

    Args:
        scores: [items], finite.
        positive: bool [items].
        seed: of the resampling.

    Raises:
        ValueError: there are no positive or no negative items, or a score is not finite.
    """
    above, below = np.sort(scores[positive]), np.sort(scores[~positive])
    if not (len(above) and len(below) and np.isfinite(scores).all()):
        raise ValueError("an AUC needs positive and negative items, and finite scores")
    places = np.searchsorted(below, above, "left"), np.searchsorted(below, above, "right")
    estimate = _auc(np.ones(len(above)), np.ones(len(below)), places)
    generator = np.random.default_rng(seed)
    resampled = [_auc(_draw(len(above), generator), _draw(len(below), generator), places) for _ in range(RESAMPLES)]
    return percentile_intervals(np.array([estimate]), np.array(resampled)[:, None])[0]


def _auc(
    above: NDArray[np.float64], below: NDArray[np.float64], places: tuple[NDArray[np.intp], NDArray[np.intp]]
) -> float:
    """AUC where sorted items count `above` and `below` times; positive ones have `places` among the negative ones."""
    lower = np.concatenate([[0.0], np.cumsum(below)])
    beaten = (lower[places[0]] + lower[places[1]]) / 2
    return float(above @ beaten / (above.sum() * below.sum()))


def _draw(items: int, generator: np.random.Generator) -> NDArray[np.float64]:
    return np.bincount(generator.integers(items, size=items), minlength=items).astype(np.float64)
