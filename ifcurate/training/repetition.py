"""How much a text repeats itself."""

from __future__ import annotations

from collections.abc import Hashable, Sequence


def repeated_share(texts: Sequence[Sequence[Hashable]], length: int) -> float:
    """Share of the n-grams of `length` tokens or words that occurred before in the same text; 0 where there is none."""
    total = repeated = 0
    for text in texts:
        grams = [tuple(text[start : start + length]) for start in range(len(text) - length + 1)]
        total += len(grams)
        repeated += len(grams) - len(set(grams))
    return repeated / max(total, 1)
