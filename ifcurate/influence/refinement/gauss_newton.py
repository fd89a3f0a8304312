"""Products with the Gauss-Newton matrix: forward mode through the model, the softmax's own matrix, and back.

The logits move along J v, the slopes of the losses with them by (diag p - p p^T) J v, and the backward pass takes these
to the weights: no matrix is ever formed, and no label is needed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import torch
from transformers import PreTrainedModel

from ifcurate.errors import InputError
from ifcurate.influence.direction import Direction
from ifcurate.influence.engines.forward_mode import ForwardMode
from ifcurate.influence.refinement.vectors import Vector, joined, parted
from ifcurate.model.devices import is_out_of_memory
from ifcurate.model.experts import ExpertLayout
from ifcurate.model.layers import tracked_parameters
from ifcurate.model.token_loss import Head, rows_per_chunk, split
from ifcurate.model.windows import Window, WindowBatch, bucket_by_length, collate


class GaussNewton:
    """G over windows of a model: the mean over windows of the sum over their tokens."""

    def __init__(self, model: PreTrainedModel, start: int, batch_tokens: int) -> None:
        """Freezes all weights of `model` but the tracked ones; `start` is the id of the start token.

        Batches have at most `batch_tokens` positions, halved for good whenever memory runs out; `halvings` counts how
        often.
        """
        model.requires_grad_(False)
        self._model, self._start, self._batch_tokens = model, start, batch_tokens
        self._body, self._head = split(model)
        self._parameters = tracked_parameters(model)
        self._layout = ExpertLayout(model)
        self.halvings = 0

    def product(self, vector: Vector, windows: Sequence[Window]) -> Vector:
        """G v over `windows`, in the dtype of the model's weights, of the layers that `vector` has.

        Raises:
            InputError: a window alone does not fit into memory.
        """
        tensors = parted(vector, self._layout.open(self._parameters))
        engine = ForwardMode(self._model, [Direction(self._layout.lay_back(tensors, self._parameters), {})])
        sums = [torch.zeros_like(parameter) for parameter in self._parameters.values()]
        pending = deque([list(windows)])
        while pending:
            group = pending.popleft()
            if self._positions(group) > self._batch_tokens and len(group) > 1:
                indices = bucket_by_length([len(window) for window in group], self._batch_tokens)
                pending.extendleft([group[index] for index in part] for part in reversed(indices))
                continue
            gradients = self._product(engine, collate(group, self._start).to(str(self._model.device)))
            if gradients is not None:
                torch._foreach_add_(sums, gradients)
                continue
            self._halve(group)
            pending.appendleft(group)
        mean = {name: total / len(windows) for name, total in zip(self._parameters, sums, strict=True)}
        return {layer: matrix for layer, matrix in joined(self._layout.open(mean)).items() if layer in vector}

    @staticmethod
    def _positions(group: Sequence[Window]) -> int:
        return len(group) * max(len(window) for window in group)

    def _halve(self, group: Sequence[Window]) -> None:
        if len(group) == 1:
            raise InputError(
                f"option --context: refining on a window of {len(group[0])} tokens does not fit into the memory of "
                f"{self._model.device}; give fewer tokens, or use a smaller model, a larger device or --refine none."
            )
        self.halvings += 1
        self._batch_tokens = self._positions(group) // 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _product(self, engine: ForwardMode, batch: WindowBatch) -> tuple[torch.Tensor, ...] | None:
        """The sum over a batch, one tensor a parameter, or None where memory ran out."""
        try:
            values, tangents = engine.features(batch)
            slopes = softmax_products(self._head, values[batch.mask], tangents[0, batch.mask])
            return self._pull_back(batch, slopes)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        return None

    def _pull_back(self, batch: WindowBatch, slopes: torch.Tensor) -> tuple[torch.Tensor, ...]:
        parameters = list(self._parameters.values())
        for parameter in parameters:
            parameter.requires_grad_(True)
        try:
            with torch.enable_grad():
                features = self._body(batch.input_ids)[batch.mask]
                return torch.autograd.grad(features, parameters, slopes)
        finally:
            self._model.requires_grad_(False)


@torch.no_grad()
def softmax_products(head: Head, features: torch.Tensor, tangents: torch.Tensor) -> torch.Tensor:
    """W^T (diag p - p p^T) W t of each token, some logits at a time, where W is the head.

    Args:
        head: features to logits; the derivative of its logits is taken.
        features: [tokens, width].
        tangents: [tokens, width], the derivatives t of the features.

    Returns:
        [tokens, width].
    """
    size = rows_per_chunk(head, features)
    return torch.cat(
        [_products(head, rows, moved) for rows, moved in zip(features.split(size), tangents.split(size), strict=True)]
    )


def _products(head: Head, rows: torch.Tensor, moved: torch.Tensor) -> torch.Tensor:
    logits, slopes = torch.func.jvp(head, (rows,), (moved,))[:2]
    wide = torch.promote_types(logits.dtype, torch.float32)
    chances, slopes = logits.softmax(-1, dtype=wide), slopes.to(wide)
    slopes = chances * (slopes - torch.linalg.vecdot(chances, slopes)[:, None])
    (products,) = torch.func.vjp(head, rows)[1](slopes.to(logits.dtype))
    return torch.as_tensor(products)
