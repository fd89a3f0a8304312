"""Documents to windows, and windows of similar length to batches.

A window is a run of at most `context` tokens of one document. The model reads the start token (BOS or EOS) and
then the window's tokens but the last; position j predicts token j. A token at the start of a document's second
window therefore sees the start token only, not the window before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from ifcurate.model.offsets import without_holes

PADDING_LABEL = -100
"""Label of positions that carry no loss (torch's own `ignore_index`)."""
MOST_PADDING = 0.04
"""Share of a batch's positions above which no shorter window joins it, once it has `SMALLEST_SHARE` of its room."""
SMALLEST_SHARE = 1 / 8
"""Of a batch's room: smaller batches would cost more than their padding."""


@dataclass(frozen=True)
class Encoding:
    """One tokenized document: ids and character ranges, each `int32[tokens]`; ends are exclusive."""

    token_ids: NDArray[np.int32]
    starts: NDArray[np.int32]
    ends: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.token_ids)


@dataclass(frozen=True)
class Window:
    """Tokens `first .. first + len(token_ids)` of document number `document`."""

    document: int
    first: int
    token_ids: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.token_ids)


@dataclass(frozen=True)
class WindowBatch:
    """Rows of windows, padded on the right.

    `input_ids` is int64 [batch, length]: the start token, then every token of a window but the last. `labels` is int64
    [batch, length]: the tokens themselves, `PADDING_LABEL` on padding. `positions` is int64 [batch, length] where
    rows may hold several windows, and counts from 0 in each; None means that every row is one window.
    """

    input_ids: torch.Tensor
    labels: torch.Tensor
    positions: torch.Tensor | None = None

    def to(self, device: str) -> WindowBatch:
        """The same batch on `device`."""
        positions = None if self.positions is None else self.positions.to(device)
        return WindowBatch(self.input_ids.to(device), self.labels.to(device), positions)

    def split(self, positions: int) -> list[WindowBatch]:
        """Consecutive rows, in batches of at most `positions` positions, or of one row."""
        rows = max(1, positions // self.labels.shape[1])
        ids, labels = self.input_ids.split(rows), self.labels.split(rows)
        places = [None] * len(ids) if self.positions is None else self.positions.split(rows)
        return [WindowBatch(*part) for part in zip(ids, labels, places, strict=True)]

    @property
    def mask(self) -> torch.Tensor:
        """Bool [batch, length]: positions that carry a loss."""
        return self.labels != PADDING_LABEL

    @property
    def size(self) -> int:
        """Computed positions, padding included."""
        return self.labels.numel()


def encode_documents(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> list[Encoding]:
    """Tokenize without special tokens and without any truncation; ranges leave no character out but white space."""
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    encodings = []
    for text, encoded in zip(texts, backend.encode_batch(list(texts), add_special_tokens=False), strict=True):
        offsets = np.array(encoded.offsets, dtype=np.int32).reshape(-1, 2)
        starts, ends = without_holes(text, np.ascontiguousarray(offsets[:, 0]), np.ascontiguousarray(offsets[:, 1]))
        encodings.append(Encoding(np.array(encoded.ids, dtype=np.int32), starts, ends))
    return encodings


def split_into_windows(encodings: Sequence[Encoding], context: int) -> list[Window]:
    """Consecutive windows of `context` tokens, the last one of a document shorter; no token twice, none left out."""
    return [
        Window(document, first, encoding.token_ids[first : first + context])
        for document, encoding in enumerate(encodings)
        for first in range(0, len(encoding), context)
    ]


def bucket_by_length(lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Indices grouped so that each group, padded to its longest, has at most `batch_tokens` positions.

    Groups run from long to short, ties in order of index; a single item may exceed `batch_tokens`. A group ends
    early where padding would become more than `MOST_PADDING` of it, unless it is small.
    """
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    groups: list[list[int]] = []
    longest = held = 0
    for index in order:
        positions = longest * (len(groups[-1]) + 1) if groups else batch_tokens + 1
        padded = positions - held - lengths[index] > MOST_PADDING * positions
        if positions > batch_tokens or (padded and positions > SMALLEST_SHARE * batch_tokens):
            groups.append([])
            longest, held = lengths[index], 0
        groups[-1].append(index)
        held += lengths[index]
    return groups


def collate(windows: Sequence[Window], start: int) -> WindowBatch:
    """Pad windows to one batch; `start` is the id of the start token."""
    longest = max(len(window) for window in windows)
    input_ids = np.full((len(windows), longest), start, dtype=np.int64)
    labels = np.full((len(windows), longest), PADDING_LABEL, dtype=np.int64)
    for row, window in enumerate(windows):
        input_ids[row, 1 : len(window)] = window.token_ids[:-1]
        labels[row, : len(window)] = window.token_ids
    return WindowBatch(torch.from_numpy(input_ids), torch.from_numpy(labels))
