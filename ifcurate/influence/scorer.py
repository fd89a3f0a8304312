"""Influence of every token of every document: windows in, one float a token out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ifcurate.errors import InputError
from ifcurate.influence.engines.choice import Engine
from ifcurate.model.batching import Batching, Rows
from ifcurate.model.devices import is_out_of_memory
from ifcurate.model.windows import Encoding, Window, WindowBatch, split_into_windows


@dataclass(frozen=True)
class DocumentScores:
    """`influence` float32 [directions, tokens] and `loss` float32 [tokens] in nats, in the order of the tokens.

    Both are 0 where a token carries no loss (but for the influence of positions, which is that of losses behind them).
    """

    influence: NDArray[np.float32]
    loss: NDArray[np.float32]


@dataclass
class Work:
    """What scoring has done: `tokens` scored, `context` tokens read again for those behind them, `positions` computed,
    of which the rest is padding; `halvings` of batches because memory ran out; `cut`: texts of which an annotator read
    only the beginning."""

    tokens: int = 0
    positions: int = 0
    halvings: int = 0
    context: int = 0
    cut: int = 0

    @property
    def padding(self) -> float:
        """Share of computed positions that were padding."""
        return 1 - (self.tokens + self.context) / self.positions if self.positions else 0.0


@dataclass
class Scorer:
    """Scores documents with one engine.

    Args:
        engine: computes a batch.
        directions: how many directions it scores against.
        context: tokens a window.
        batching: how windows become the batches that suit the engine.
        batch_tokens: most positions a batch, padding included; halved for good whenever memory runs out.
        device: where batches go.
        overlap: tokens that a document's later windows read again, as context.
    """

    engine: Engine
    directions: int
    context: int
    batching: Batching
    batch_tokens: int
    device: str = "cpu"
    overlap: int = 0

    def score(
        self,
        encodings: Sequence[Encoding],
        names: Sequence[str],
        on_batch: Callable[[int], None] = lambda tokens: None,
    ) -> tuple[list[DocumentScores], Work]:
        """Scores of all documents, each token exactly once.

        Args:
            encodings: the documents.
            names: one a document, for messages.
            on_batch: called with the number of tokens of every batch that is done.

        Raises:
            InputError: a score is NaN or infinite, or a row alone does not fit into memory; names the document.
        """
        windows = split_into_windows(encodings, self.context, self.overlap)
        scored = [self._unscored(encoding) for encoding in encodings]
        work = Work()
        pending = deque(self.batching.batches(windows, self.batch_tokens))
        while pending:
            rows = pending.popleft()
            batch = self.batching.collate(rows)
            if self._score_batch(batch, rows, scored):
                work.positions += batch.size
                tokens = sum(window.losses for row in rows for window in row)
                work.tokens += tokens
                work.context += sum(len(window) for row in rows for window in row) - tokens
                on_batch(tokens)
                continue
            if len(rows) == 1:
                raise InputError(
                    f"document {names[rows[0][0].document]}: a row of {batch.size} positions that begins with "
                    f"it does not fit into the memory of {self.device}; lower --context, or use a smaller model or a "
                    "larger device."
                )
            work.halvings += 1
            self.batch_tokens = batch.size // 2
            left = [window for rest in (rows, *pending) for row in rest for window in row]
            pending = deque(self.batching.batches(left, self.batch_tokens))
        for name, scores in zip(names, scored, strict=True):
            if not (np.isfinite(scores.influence).all() and np.isfinite(scores.loss).all()):
                raise InputError(
                    f"document {name}: its scores are NaN or infinite; check the model's weights, raise --damping, "
                    "or use --dtype float32."
                )
        return scored, work

    def _unscored(self, encoding: Encoding) -> DocumentScores:
        """No influence yet; a loss that is missing in the end is seen, as it is NaN."""
        missing = np.full(len(encoding), np.nan, np.float32)
        if encoding.scored is not None:
            missing[~encoding.scored] = 0
        return DocumentScores(np.zeros((self.directions, len(encoding)), np.float32), missing)

    def _score_batch(self, batch: WindowBatch, rows: Rows, scored: Sequence[DocumentScores]) -> bool:
        """False where memory ran out: then nothing was scored."""
        try:
            scores = self.engine.score(batch.to(self.device))
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            scores = None  # and no reference to the tensors that the error's traceback holds
        if scores is None:
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            return False
        windows = [window for row in rows for window in row]
        losses = np.split(_on_cpu(scores.loss), np.cumsum([window.losses for window in windows])[:-1])
        for window, loss in zip(windows, losses, strict=True):
            scored[window.document].loss[window.places] = loss
        _add_influence(scores.influence, windows, [window.places for window in windows], scored)
        if scores.of_context is not None:
            _add_influence(scores.of_context, windows, [window.context_places for window in windows], scored)
        return True


def _add_influence(
    influence: torch.Tensor,
    windows: Sequence[Window],
    places: Sequence[NDArray[np.int64]],
    scored: Sequence[DocumentScores],
) -> None:
    """Add `influence` [directions, tokens] to that of the tokens `places` of each window's document."""
    ends = np.cumsum([len(of_window) for of_window in places])
    parts = np.split(_on_cpu(influence), ends[:-1], axis=1)
    for window, of_window, part in zip(windows, places, parts, strict=True):
        scored[window.document].influence[:, of_window] += part


def _on_cpu(values: torch.Tensor) -> NDArray[np.float32]:
    found: NDArray[np.float32] = values.to("cpu", torch.float32).numpy()
    return found
