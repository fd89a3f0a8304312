"""From scored pieces of texts to the tokens that they are spelled with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ifcurate.annotators.base import Document, Marks
from ifcurate.selection.spans import Ranges

Span = tuple[int, int]
"""Characters of a text, the end exclusive."""


def spread(documents: Sequence[Document], spans: Sequence[Sequence[Span]], values: NDArray[np.float32]) -> Marks:
    """The highest value of the spans that each token overlaps, 0 where there is none.

    Args:
        documents: whose tokens are marked.
        spans: of each document; in order, none overlapping another.
        values: float32 [spans of all documents], from 0.
    """
    tokens = Ranges.of_documents([(document.starts, document.ends) for document in documents])
    scored = Ranges.of_documents([(_side(found, 0), _side(found, 1)) for found in spans])
    stride = max(tokens.reach, scored.reach)
    starts, ends = tokens.end_to_end(stride)
    span_starts, span_ends = scored.end_to_end(stride)
    first = np.searchsorted(span_ends, starts, side="right")
    last = np.searchsorted(span_starts, ends, side="left")
    overlapped = (last > first) & (ends > starts)
    marks = np.zeros(len(tokens), np.float32)
    borders = np.stack([first[overlapped], last[overlapped]], axis=1).ravel()
    if len(borders):
        marks[overlapped] = np.maximum.reduceat(np.append(values, np.float32(0)), borders)[::2]
    return np.split(marks, tokens.rows[1:-1])


def _side(spans: Sequence[Span], side: int) -> NDArray[np.int64]:
    return np.array([span[side] for span in spans], np.int64)
