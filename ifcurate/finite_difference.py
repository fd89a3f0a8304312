"""Token influence by finite differences: ordinary forward passes with the weights moved along v.

Central: S = (l(theta + e v) - l(theta - e v)) / 2e, two passes a direction. One-sided: S = (l(theta + e v) -
l(theta)) / e, one pass a direction and one that all directions share. The truncation error grows with e squared, or
with e, the rounding error of the losses with 1/e; the best step between them is found by comparison with forward mode.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from transformers import PreTrainedModel

from ifcurate.direction import Direction
from ifcurate.token_loss import TokenScores, split, token_losses
from ifcurate.tracking import tracked_parameters
from ifcurate.windows import WindowBatch


class FiniteDifference:
    """Central differences: 2 forward passes a direction, error of order e squared."""

    def __init__(
        self, model: PreTrainedModel, directions: Sequence[Direction], relative_steps: Sequence[float]
    ) -> None:
        """Step e of a direction is `relative_step * |theta| / |v|` over the tracked weights."""
        self._moved = _MovedModel(model, directions, relative_steps)

    @torch.inference_mode()
    def score(self, batch: WindowBatch) -> TokenScores:
        """Scores of the label tokens of `batch`; the loss is the mean of both sides (error of order e squared)."""
        influence, losses = [], []
        for number, step in enumerate(self._moved.steps):
            above = self._moved.losses_at(number, step, batch)
            below = self._moved.losses_at(number, -step, batch)
            influence.append((above - below) / (2 * step))
            losses.append((above + below) / 2)
        return TokenScores(torch.stack(influence), torch.stack(losses).mean(0))


class OneSidedDifference:
    """One-sided differences: K directions cost K + 1 forward passes, error of order e."""

    def __init__(
        self, model: PreTrainedModel, directions: Sequence[Direction], relative_steps: Sequence[float]
    ) -> None:
        """Step e of a direction is `relative_step * |theta| / |v|` over the tracked weights."""
        self._moved = _MovedModel(model, directions, relative_steps)

    @torch.inference_mode()
    def score(self, batch: WindowBatch) -> TokenScores:
        """Scores of the label tokens of `batch`; the loss is that of the unmoved model."""
        base = self._moved.losses_at(0, 0.0, batch)
        influence = [
            (self._moved.losses_at(number, step, batch) - base) / step for number, step in enumerate(self._moved.steps)
        ]
        return TokenScores(torch.stack(influence), base)


class _MovedModel:
    """A model whose tracked weights can be moved: it has those twice and shares all others with the original."""

    def __init__(
        self, model: PreTrainedModel, directions: Sequence[Direction], relative_steps: Sequence[float]
    ) -> None:
        self._origin = {name: parameter.detach() for name, parameter in tracked_parameters(model).items()}
        self._directions = [
            {name: tensor.to(self._origin[name].device) for name, tensor in direction.tensors.items()}
            for direction in directions
        ]
        norm = Direction(self._origin, {}).norm()
        self.steps = [
            relative * norm / direction.norm() for relative, direction in zip(relative_steps, directions, strict=True)
        ]
        copied = _copy_tracked(model)
        self._places = tracked_parameters(copied)
        self._body, self._head = split(copied)

    def losses_at(self, number: int, step: float, batch: WindowBatch) -> torch.Tensor:
        """Losses of the label tokens at theta + step * v of direction `number`."""
        tensors = self._directions[number]
        for name, place in self._places.items():
            torch.add(self._origin[name], tensors[name], alpha=step, out=place.data)
        return token_losses(self._head, self._body(batch.input_ids)[batch.mask], batch.labels[batch.mask])


def _copy_tracked(model: PreTrainedModel) -> PreTrainedModel:
    """A copy of `model` with tracked weights of its own and every other parameter shared."""
    tracked = {id(parameter) for parameter in tracked_parameters(model).values()}
    shared = {id(parameter): parameter for parameter in model.parameters() if id(parameter) not in tracked}
    return copy.deepcopy(model, memo=shared)
