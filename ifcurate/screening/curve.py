"""Recall against share: how much of what was selected lies in the part of the text that a screen puts first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ifcurate.errors import InputError
from ifcurate.selection.spans import Ints

SHARES = tuple(np.round(np.concatenate([np.arange(1, 40) * 0.005, np.arange(20, 101) * 0.01]), 3).tolist())
"""Shares of the text at which a curve is kept: 0.5 %, 1 %, ... 19.5 %, 20 %, 21 %, ... 100 %."""

Curve = list[tuple[float, float]]
"""Share of the text, and recall in it; both rise."""


def recall_curve(scores: NDArray[np.floating], tokens: Ints, selected: Ints, shares: Sequence[float] = SHARES) -> Curve:
    """Recall at `shares` of the tokens, documents taken from the highest score down, whole, until a share is reached.

    Args:
        scores: float [documents], what the screen says of them; of equal ones the first comes first.
        tokens: int64 [documents].
        selected: int64 [documents]; not all 0.
        shares: in (0, 1].
    """
    order = np.argsort(-scores, kind="stable")
    text, found = np.cumsum(tokens[order]), np.cumsum(selected[order])
    last = np.searchsorted(text, np.array(shares) * text[-1] - 0.5)  # half a token for rounding
    recalls = found[np.minimum(last, len(order) - 1)] / found[-1]
    return [(float(share), float(recall)) for share, recall in zip(shares, recalls, strict=True)]


def recall_at(curve: Curve, share: float) -> float:
    """Recall in `share` of the text, linear between the points of a curve, which begins at (0, 0)."""
    shares, recalls = zip((0.0, 0.0), *curve, strict=True)
    return float(np.interp(share, shares, recalls))


def share_for(curve: Curve, recall: float) -> float:
    """The least share of the text in which a curve reaches `recall`.

    Raises:
        InputError: it does not.
    """
    for (low, below), (high, above) in zip([(0.0, 0.0), *curve[:-1]], curve, strict=True):
        if above >= recall:
            return low + (high - low) * (recall - below) / (above - below) if above > below else high
    raise InputError(f"option --recall: the screen reaches {curve[-1][1]:.4f} at most, not {recall}; give --share.")
