"""Documents to packs: one long stream of tokens and their weights, cut into rows of equal length.

Rows overlap by one token: the last label of a row is the first input of the next one. So every token of the stream is
a label exactly once (the very first excepted), and a mask reaches the loss whole, wherever documents and rows end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from ifcurate.annotation.reader import MarkedDocument
from ifcurate.files import finishing
from ifcurate.training.marked import Edit
from ifcurate.training.penalty import IGNORED
from ifcurate.training.token_columns import LOSS_WEIGHTS, REFERENCE_LOSSES, TokenColumn

INPUT_IDS = "input_ids"
LABELS = "labels"

TOKENS_FILE = "tokens.bin"
MARKS_FILE = "marks.bin"
LEARNED_FILE = "learned.bin"

COUNTED_TOGETHER = 1 << 24
"""Tokens."""


def token_dtype(vocabulary: int) -> np.dtype[Any]:
    """The smallest of uint16 and uint32 that holds every token id below `vocabulary`."""
    return np.dtype(np.uint16 if vocabulary <= 1 << 16 else np.uint32)


@dataclass(frozen=True)
class Delimiters:
    """Tokens that the stream puts before and behind each document; they are labels with weight 1.

    Around documents of which only some tokens are learned, as of messages, they are not learned either.
    """

    start: int
    end: int | None

    def around(self, document: MarkedDocument) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
        """Token ids and marks of one document with its delimiters."""
        before, behind = [self.start], [] if self.end is None else [self.end]
        tokens = np.concatenate([before, document.token_ids, behind]).astype(np.int32)
        return tokens, np.pad(document.marks, (1, len(behind)))

    def learned(self, document: MarkedDocument) -> NDArray[np.uint8]:
        """1 for each of the same tokens that is a label, 0 for the others."""
        count = len(document.token_ids) + (1 if self.end is None else 2)
        if document.learned is None:
            return np.ones(count, np.uint8)
        return np.pad(document.learned.astype(np.uint8), (1, 0 if self.end is None else 1))

    def beside(self, document: MarkedDocument, column: TokenColumn) -> NDArray[np.float32]:
        """The column's values of the same tokens."""
        sides = (1, 0 if self.end is None else 1)
        return np.pad(column.of(document), sides, constant_values=column.at_delimiters)


def write_stream(
    documents: Iterable[MarkedDocument],
    delimiters: Delimiters,
    dtype: np.dtype[Any],
    folder: Path,
    columns: Sequence[TokenColumn] = (),
    edit: Edit | None = None,
) -> int:
    """Write `tokens.bin` (`dtype`), `marks.bin`, `learned.bin` (uint8) and a file a column (float32): an entry a token.

    Holds one document in memory. `edit` makes other tokens of a document and its delimiters, with no columns beside.

    Returns:
        tokens of the documents, delimiters not counted.
    """
    count = 0
    folder.mkdir(parents=True, exist_ok=True)
    names = [TOKENS_FILE, MARKS_FILE, LEARNED_FILE, *(_file_of(column.name) for column in columns)]
    with ExitStack() as stack:
        parts = [stack.enter_context(finishing(folder / name)) for name in names]
        files = [stack.enter_context(part.open("wb")) for part in parts]
        for document in documents:
            tokens, marks = delimiters.around(document)
            learned = delimiters.learned(document)
            if edit is not None:
                tokens, marks = edit(tokens, marks)
                learned = np.ones(len(tokens), np.uint8)
            beside = [delimiters.beside(document, column) for column in columns]
            values = [tokens.astype(dtype), marks, learned, *beside]
            for file, own in zip(files, values, strict=True):
                file.write(own.tobytes())
            count += len(document.token_ids)
    return count


def _file_of(column: str) -> str:
    return f"{column}.bin"


def weight_table(penalties: Sequence[float]) -> NDArray[np.float32]:
    """The weight of a token for every value of its marks byte: 1 without a mark, else -lambda of bit b.

    A token with several marks gets the largest of their lambdas. A behaviour with no lambda of its own has no bit.
    """
    table = np.ones(256, dtype=np.float32)
    for marks in range(1, 1 << len(penalties)):
        table[marks] = -max(penalty for bit, penalty in enumerate(penalties) if marks >> bit & 1)
    return table


class PackedTokens(Dataset[dict[str, NDArray[Any]]]):
    """Rows of `length` tokens over a stream on disk, memory-mapped; the last row is shorter.

    Each item has `input_ids` int64, `loss_weights` float32 and the stream's further `columns` float32, all
    `[at most length]`. Weights are those of the marks, unless they are a column. Where tokens are `unlabelled`, or not
    all are learned, it has `labels` int64 too, -100 at each of them.
    """

    def __init__(
        self,
        folder: Path,
        dtype: np.dtype[Any],
        penalties: Sequence[float],
        length: int,
        columns: Sequence[str] = (),
        unlabelled: Sequence[int] = (),
    ) -> None:
        self._tokens: NDArray[Any] = np.memmap(folder / TOKENS_FILE, dtype=dtype, mode="r")
        self._marks: NDArray[np.uint8] = np.memmap(folder / MARKS_FILE, dtype=np.uint8, mode="r")
        self._learned: NDArray[np.uint8] = np.memmap(folder / LEARNED_FILE, dtype=np.uint8, mode="r")
        self._weights = weight_table(penalties)
        self._columns = {name: np.memmap(folder / _file_of(name), dtype=np.float32, mode="r") for name in columns}
        self._unlabelled = list(unlabelled)
        self._length = length

    def __len__(self) -> int:
        return -(-max(len(self._tokens) - 1, 0) // (self._length - 1))

    @cached_property
    def labels(self) -> int:
        """Number of labels in all rows: every learned token but the first and the unlabelled ones."""
        parts = range(0, len(self._tokens), COUNTED_TOGETHER)
        found = sum(int(self._are_labels(slice(start, start + COUNTED_TOGETHER)).sum()) for start in parts)
        return found - int(len(self._tokens) > 0 and self._are_labels(slice(0, 1))[0])

    def _are_labels(self, part: slice) -> NDArray[np.bool_]:
        learned: NDArray[np.bool_] = np.asarray(self._learned[part]) > 0
        return learned & ~np.isin(self._tokens[part], self._unlabelled) if self._unlabelled else learned

    def __getitem__(self, row: int) -> dict[str, NDArray[Any]]:
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of {len(self)}")
        part = slice(row * (self._length - 1), row * (self._length - 1) + self._length)
        tokens = self._tokens[part].astype(np.int64)
        chosen = self._are_labels(part)
        labels = {} if chosen.all() else {LABELS: np.where(chosen, tokens, IGNORED)}
        return {
            INPUT_IDS: tokens,
            **labels,
            LOSS_WEIGHTS: self._weights[self._marks[part]],
            **{name: np.array(values[part]) for name, values in self._columns.items()},
        }


@dataclass(frozen=True)
class PaddingCollator:
    """Rows to one batch, padded on the right to the longest; padding and each row's first token are no labels.

    Takes rows with `input_ids`, optionally `loss_weights` (default 1), `labels` (default `input_ids`) and, all of them
    or none, `reference_losses`. Causal attention never looks right, so padding needs no attention mask.
    """

    pad_token: int

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        """`input_ids` and `labels` int64, `loss_weights` and `reference_losses` float32, each `[batch, length]`."""
        size = (len(rows), max(len(row[INPUT_IDS]) for row in rows))
        compared = REFERENCE_LOSSES in rows[0]
        references = np.zeros(size, dtype=np.float32)
        inputs = np.full(size, self.pad_token, dtype=np.int64)
        labels = np.full(size, IGNORED, dtype=np.int64)
        weights = np.ones(size, dtype=np.float32)
        for index, row in enumerate(rows):
            end = len(row[INPUT_IDS])
            inputs[index, :end] = row[INPUT_IDS]
            labels[index, 1:end] = row.get(LABELS, row[INPUT_IDS])[1:]
            weights[index, :end] = row.get(LOSS_WEIGHTS, 1.0)
            if compared:
                references[index, :end] = row[REFERENCE_LOSSES]
        return {
            INPUT_IDS: torch.from_numpy(inputs),
            LABELS: torch.from_numpy(labels),
            LOSS_WEIGHTS: torch.from_numpy(weights),
            **({REFERENCE_LOSSES: torch.from_numpy(references)} if compared else {}),
        }


@dataclass(frozen=True)
class PackingCollator:
    """Documents to one batch: joined end to end, cut into rows of `length`, the last one padded.

    For datasets of one document a row, such as `ifcurate export --format hf` writes; rows as `PaddingCollator` takes
    them. Nothing is dropped, so the number of rows varies.
    """

    length: int
    pad_token: int

    def __call__(self, documents: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        """See `PaddingCollator.__call__`."""
        stream = {
            INPUT_IDS: _joined(document[INPUT_IDS] for document in documents),
            LABELS: _joined(document.get(LABELS, document[INPUT_IDS]) for document in documents),
            LOSS_WEIGHTS: _joined(
                document.get(LOSS_WEIGHTS, np.ones(len(document[INPUT_IDS]), np.float32)) for document in documents
            ),
        }
        if REFERENCE_LOSSES in documents[0]:
            stream[REFERENCE_LOSSES] = _joined(document[REFERENCE_LOSSES] for document in documents)
        return PaddingCollator(self.pad_token)(list(_rows(stream, self.length)))


def _joined(parts: Iterable[Sequence[float] | NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate([np.asarray(part) for part in parts])


def _rows(stream: Mapping[str, NDArray[Any]], length: int) -> Iterator[dict[str, NDArray[Any]]]:
    for start in range(0, max(len(stream[INPUT_IDS]) - 1, 1), length - 1):
        yield {name: values[start : start + length] for name, values in stream.items()}
