"""Influence of every token of every document: windows in, one float a token out."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ifcurate.devices import is_out_of_memory
from ifcurate.engines import Engine
from ifcurate.errors import InputError
from ifcurate.windows import Encoding, Window, bucket_by_length, collate, split_into_windows


@dataclass(frozen=True)
class DocumentScores:
    """`influence` float32 [directions, tokens] and `loss` float32 [tokens] in nats, in the order of the tokens."""

    influence: NDArray[np.float32]
    loss: NDArray[np.float32]


@dataclass
class Work:
    """What scoring has done: `tokens` scored, `positions` computed, the difference is padding; `halvings` of batches
    because memory ran out."""

    tokens: int = 0
    positions: int = 0
    halvings: int = 0

    @property
    def padding(self) -> float:
        """Share of computed positions that were padding."""
        return 1 - self.tokens / self.positions if self.positions else 0.0


@dataclass
class Scorer:
    """Scores documents with one engine.

    Args:
        engine: computes a batch.
        directions: how many directions it scores against.
        context: tokens a window.
        start: id of the start token.
        batch_tokens: most positions a batch, padding included; halved for good whenever memory runs out.
        device: where batches go.
    """

    engine: Engine
    directions: int
    context: int
    start: int
    batch_tokens: int
    device: str = "cpu"

    def score(self, encodings: Sequence[Encoding], names: Sequence[str]) -> tuple[list[DocumentScores], Work]:
        """Scores of all documents, each token exactly once; `names` (one a document) are for messages.

        Raises:
            InputError: a score is NaN or infinite, or a window alone does not fit into memory; names the document.
        """
        windows = split_into_windows(encodings, self.context)
        scored = [self._unscored(len(encoding)) for encoding in encodings]
        work = Work(tokens=sum(len(window) for window in windows))
        pending = self._batches(windows)
        while pending:
            batch = pending.popleft()
            computed = self._score_batch(batch, scored)
            if computed is not None:
                work.positions += computed
                continue
            if len(batch) == 1:
                raise InputError(
                    f"document {names[batch[0].document]}: a window of {len(batch[0])} tokens does not fit into the "
                    f"memory of {self.device}; lower --context, or use a smaller model or a larger device."
                )
            work.halvings += 1
            self.batch_tokens = len(batch[0]) * len(batch) // 2
            pending = self._batches([window for rest in (batch, *pending) for window in rest])
        for name, scores in zip(names, scored, strict=True):
            if not (np.isfinite(scores.influence).all() and np.isfinite(scores.loss).all()):
                raise InputError(
                    f"document {name}: its scores are NaN or infinite; check the model's weights, raise --damping, "
                    "or use --dtype float32."
                )
        return scored, work

    def _unscored(self, tokens: int) -> DocumentScores:
        shape = (self.directions, tokens)
        return DocumentScores(np.full(shape, np.nan, np.float32), np.full(tokens, np.nan, np.float32))

    def _batches(self, windows: Sequence[Window]) -> deque[list[Window]]:
        groups = bucket_by_length([len(window) for window in windows], self.batch_tokens)
        return deque([windows[index] for index in group] for group in groups)

    def _score_batch(self, windows: Sequence[Window], scored: Sequence[DocumentScores]) -> int | None:
        """Positions computed, or None where memory ran out: then nothing was scored."""
        batch = collate(windows, self.start).to(self.device)
        try:
            scores = self.engine.score(batch)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            scores = None  # and no reference to the tensors that the error's traceback holds
        if scores is None:
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            return None
        influence = scores.influence.to("cpu", torch.float32).numpy()
        loss = scores.loss.to("cpu", torch.float32).numpy()
        begin = 0
        for window in windows:
            end, place = begin + len(window), slice(window.first, window.first + len(window))
            scored[window.document].influence[:, place] = influence[:, begin:end]
            scored[window.document].loss[place] = loss[begin:end]
            begin = end
        return batch.size
