"""How windows become batches: one a row and padded to the longest, or several packed into rows of fixed length."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from ifcurate.model.windows import PADDING_LABEL, Window, WindowBatch, bucket_by_length, collate

Rows = list[list[Window]]
"""The windows of one batch, row by row."""


class Batching(Protocol):
    """Distributes windows over the rows of batches."""

    def batches(self, windows: Sequence[Window], batch_tokens: int) -> list[Rows]:
        """Each window in one row of one batch; a batch has at most `batch_tokens` positions, or one row."""

    def collate(self, rows: Rows) -> WindowBatch:
        """The tensors of one of these batches: its label tokens are in the order of rows and windows."""


@dataclass(frozen=True)
class OneWindowARow:
    """Batches of windows of similar length, padded to the longest; `start` is the id of the start token."""

    start: int

    def batches(self, windows: Sequence[Window], batch_tokens: int) -> list[Rows]:
        """See `windows.bucket_by_length`."""
        groups = bucket_by_length([len(window) for window in windows], batch_tokens)
        return [[[windows[index]] for index in group] for group in groups]

    def collate(self, rows: Rows) -> WindowBatch:
        """See `windows.collate`."""
        return collate([window for (window,) in rows], self.start)


@dataclass(frozen=True)
class PackedRows:
    """Batches of one shape, so that what is compiled for it serves them all: short windows share rows.

    Args:
        start: id of the start token, with which every window begins.
        length: positions a row; no window is longer.
    """

    start: int
    length: int

    def batches(self, windows: Sequence[Window], batch_tokens: int) -> list[Rows]:
        """Batches of `batch_tokens // length` rows, at least one; the last one is filled up with empty rows."""
        rows = [[windows[index] for index in row] for row in pack([len(window) for window in windows], self.length)]
        count = max(1, batch_tokens // self.length)
        rows += [[] for _ in range(-len(rows) % count)]
        return [rows[first : first + count] for first in range(0, len(rows), count)]

    def collate(self, rows: Rows) -> WindowBatch:
        """[len(rows), length]; padding counts as windows of one token, so that nothing sees it."""
        shape = (len(rows), self.length)
        input_ids = np.full(shape, self.start, dtype=np.int64)
        labels = np.full(shape, PADDING_LABEL, dtype=np.int64)
        positions = np.zeros(shape, dtype=np.int64)
        for row, windows in enumerate(rows):
            first = 0
            for window in windows:
                end = first + len(window)
                input_ids[row, first + 1 : end] = window.token_ids[:-1]
                labels[row, first:end] = window.labels
                positions[row, first:end] = np.arange(len(window))
                first = end
        return WindowBatch(*map(torch.from_numpy, (input_ids, labels, positions)))


def pack(lengths: Sequence[int], room: int) -> list[list[int]]:
    """Indices in rows of at most `room` together: best fit, from long to short, ties in order of index.

    Best-fit decreasing needs at most 11/9 of the fewest rows possible, and 4 more (Johnson 1974).

    Raises:
        ValueError: one is longer than `room`.
    """
    rows: list[list[int]] = []
    spaces: list[tuple[int, int]] = []  # left in each row, and the row's number: ascending
    for index in sorted(range(len(lengths)), key=lambda index: (-lengths[index], index)):
        needed = lengths[index]
        if needed > room:
            raise ValueError(f"{needed} positions do not fit into a row of {room}")
        place = bisect_left(spaces, (needed, 0))
        if place == len(spaces):
            space, row = room, len(rows)
            rows.append([])
        else:
            space, row = spaces.pop(place)
        rows[row].append(index)
        insort(spaces, (space - needed, row))
    return rows
