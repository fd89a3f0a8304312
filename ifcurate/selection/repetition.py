"""Documents that repeat themselves: the share of their n-grams of tokens that occurred before in the same document.

Text that says one thing over and over can have high influence without anything in it that a reader would call the
behaviour. A selection may hold such documents back: none of their tokens counts as above tau.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ifcurate.selection.spans import Ints, Mask

NGRAM = 4
"""Length of the n-grams that tell a text that repeats itself from an ordinary one."""
LEAST_TOKENS = 16
"""Of a document that can be told by its repetitions: in a shorter one they mean little."""


def repeated_shares(token_ids: pa.Array) -> NDArray[np.float64]:
    """float64 [documents]: of the n-grams of each list of ids, those that came before in it; 0 below `LEAST_TOKENS`.

    Args:
        token_ids: lists of integers, without nulls.
    """
    ids = token_ids.flatten().to_numpy().astype(np.int64)
    rows = token_ids.offsets.to_numpy().astype(np.int64)
    rows -= rows[0]
    lengths = np.diff(rows)
    grams = np.where(lengths >= LEAST_TOKENS, lengths - NGRAM + 1, 0)
    document = np.repeat(np.arange(len(lengths)), grams)
    within = np.arange(len(document)) - np.repeat(np.cumsum(grams) - grams, grams)
    first = rows[document] + within
    repeated = np.bincount(document[_seen_before(document, ids, first)], minlength=len(lengths))
    return np.divide(repeated, grams, out=np.zeros(len(lengths)), where=grams > 0)


def _seen_before(document: Ints, ids: Ints, first: Ints) -> Mask:
    """bool [n-grams], in any order but by document: whether an equal one of the same document was counted already."""
    columns = [document, *(ids[first + offset] for offset in range(NGRAM))]
    order = np.lexsort(columns[::-1])
    same: Mask = np.ones(max(len(order) - 1, 0), np.bool_)
    for column in columns:
        same &= column[order][1:] == column[order][:-1]
    seen = np.zeros(len(order), np.bool_)
    seen[order[1:]] = same
    return seen
