"""Character ranges of tokens without holes: every character of a text that is not white space lies in one.

`tokenizers` says of each token which characters it was made of. Characters that a normalizer merged into others or
deleted (a combining accent under NFC, an accent that is stripped, a control character) are named by none. Here they
belong to the token before them, and those before the first token to the first.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int32]


def without_holes(text: str, starts: Ints, ends: Ints) -> tuple[Ints, Ints]:
    """The ranges, widened over the characters that none of them covers.

    A range ends where the last uncovered character before the next range ends, white space behind that left out.
    Ranges that had no character in common have none in common now. Where all are empty, the first takes everything.

    Args:
        text: one document.
        starts: int32 [tokens], in characters of `text`.
        ends: int32 [tokens], exclusive.

    Returns:
        starts and ends, int32 [tokens].
    """
    spelled = np.flatnonzero(ends > starts)
    if not len(spelled):
        return _all_in_the_first(text, starts, ends)
    order = spelled[np.argsort(starts[spelled], kind="stable")]
    reached = np.maximum.accumulate(ends[order])
    hole_ends = np.append(starts[order[1:]], len(text))
    owners = order[np.maximum.accumulate(np.where(ends[order] == reached, np.arange(len(order)), 0))]
    ends, first = ends.copy(), order[0]
    for place in np.flatnonzero(hole_ends > reached).tolist():
        hole = text[reached[place] : hole_ends[place]].rstrip()
        ends[owners[place]] += len(hole)
    before = text[: starts[first]].lstrip()
    if before:
        starts = starts.copy()
        starts[first] -= len(before)
    return starts, ends


def _all_in_the_first(text: str, starts: Ints, ends: Ints) -> tuple[Ints, Ints]:
    if not len(starts) or not text.strip():
        return starts, ends
    starts, ends = starts.copy(), ends.copy()
    starts[0], ends[0] = len(text) - len(text.lstrip()), len(text.rstrip())
    return starts, ends
