"""Documents to windows, and windows of similar length to batches.

A window is a run of at most `context` tokens of one document. The model reads the start token (BOS or EOS) and
then the window's tokens but the last; position j predicts token j. A document's second window therefore begins like a
text, unless tokens of the one before it are read again: an overlap, which carries no loss of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ifcurate.model.offsets import without_holes

if TYPE_CHECKING:  # whoever tokenizes alone waits for neither
    import torch
    from transformers import PreTrainedTokenizerFast

PADDING_LABEL = -100
"""Label of positions without a token (torch's own `ignore_index`)."""
CONTEXT_LABEL = -101
"""Label of tokens that are read and carry no loss."""
MOST_PADDING = 0.04
"""Share of a batch's positions above which no shorter window joins it, once it has `SMALLEST_SHARE` of its room."""
SMALLEST_SHARE = 1 / 8
"""Of a batch's room: smaller batches would cost more than their padding."""


@dataclass(frozen=True)
class Encoding:
    """One tokenized document: ids and character ranges, each `int32[tokens]`; ends are exclusive.

    `scored` is bool [tokens]: those that carry a loss; None where all of them do.
    """

    token_ids: NDArray[np.int32]
    starts: NDArray[np.int32]
    ends: NDArray[np.int32]
    scored: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.token_ids)

    @property
    def loss_mask(self) -> NDArray[np.bool_]:
        """bool [tokens]: those that carry a loss."""
        return np.ones(len(self), np.bool_) if self.scored is None else self.scored


@dataclass(frozen=True)
class Window:
    """Tokens `first .. first + len(token_ids)` of document number `document`, all of them read.

    `scored` is bool [tokens]: those that carry a loss; None where all of them do.
    """

    document: int
    first: int
    token_ids: NDArray[np.int32]
    scored: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.token_ids)

    @property
    def losses(self) -> int:
        """How many tokens carry a loss."""
        return len(self) if self.scored is None else int(self.scored.sum())

    @property
    def places(self) -> NDArray[np.int64]:
        """int64 [losses]: which tokens of the document these are."""
        return self.first + (np.arange(len(self)) if self.scored is None else np.flatnonzero(self.scored))

    @property
    def context_places(self) -> NDArray[np.int64]:
        """int64: which tokens of the document are read without a loss."""
        return np.zeros(0, np.int64) if self.scored is None else self.first + np.flatnonzero(~self.scored)

    @property
    def labels(self) -> NDArray[np.int64]:
        """int64 [tokens]: the tokens, `CONTEXT_LABEL` where they carry no loss."""
        ids = self.token_ids.astype(np.int64)
        return ids if self.scored is None else np.where(self.scored, ids, CONTEXT_LABEL)


@dataclass(frozen=True)
class WindowBatch:
    """Rows of windows, padded on the right.

    `input_ids` is int64 [batch, length]: the start token, then every token of a window but the last. `labels` is int64
    [batch, length]: the tokens themselves, `CONTEXT_LABEL` where they carry no loss, `PADDING_LABEL` on padding.
    `positions` is int64 [batch, length] where rows may hold several windows, and counts from 0 in each; None means that
    every row is one window.
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
        return carry_loss(self.labels)

    @property
    def read(self) -> torch.Tensor:
        """Bool [batch, length]: positions of tokens, whether they carry a loss or are context; not padding."""
        return are_read(self.labels)

    @property
    def size(self) -> int:
        """Computed positions, padding included."""
        return self.labels.numel()


def carry_loss(labels: torch.Tensor) -> torch.Tensor:
    """Which of the labels of a `WindowBatch` carry a loss."""
    return labels >= 0


def are_read(labels: torch.Tensor) -> torch.Tensor:
    """Which of the labels of a `WindowBatch` are of tokens."""
    return labels != PADDING_LABEL


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


def split_into_windows(encodings: Sequence[Encoding], context: int, overlap: int = 0) -> list[Window]:
    """Consecutive windows of `context` tokens, the last one of a document shorter; every token has one loss.

    A window but the first of its document begins with the last `overlap` tokens of the one before it, which carry no
    loss there; `overlap` is less than `context`. Windows without any loss are left out.
    """
    windows = []
    for document, encoding in enumerate(encodings):
        last = max(len(encoding) - overlap, min(1, len(encoding)))
        for first in range(0, last, context - overlap):
            token_ids = encoding.token_ids[first : first + context]
            scored = np.arange(len(token_ids)) >= (overlap if first else 0)
            if encoding.scored is not None:
                scored &= encoding.scored[first : first + context]
            if scored.any():
                windows.append(Window(document, first, token_ids, None if scored.all() else scored))
    return windows


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
    import torch

    longest = max(len(window) for window in windows)
    input_ids = np.full((len(windows), longest), start, dtype=np.int64)
    labels = np.full((len(windows), longest), PADDING_LABEL, dtype=np.int64)
    for row, window in enumerate(windows):
        input_ids[row, 1 : len(window)] = window.token_ids[:-1]
        labels[row, : len(window)] = window.labels
    return WindowBatch(torch.from_numpy(input_ids), torch.from_numpy(labels))
