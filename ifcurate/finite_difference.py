"""Token influence by finite differences: two ordinary forward passes at theta + e v and theta - e v.

S = (l(theta + e v) - l(theta - e v)) / 2e. The truncation error grows with e squared, the rounding error of the two
losses with 1/e; the best step lies between and is found by comparison with forward-mode derivatives.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import torch
from transformers import PreTrainedModel

from ifcurate.direction import Direction
from ifcurate.token_loss import TokenScores, split, token_losses
from ifcurate.tracking import tracked_parameters
from ifcurate.windows import WindowBatch


class FiniteDifference:
    """Central differences along each direction: 2 forward passes a direction, exact up to the step's error.

    Holds two copies of the tracked weights and shares all others with `model`.
    """

    def __init__(
        self, model: PreTrainedModel, directions: Sequence[Direction], relative_steps: Sequence[float]
    ) -> None:
        """Place the perturbed weights; step e is `relative_step * |theta| / |v|` over the tracked weights."""
        self._model = model
        self._directions = [direction.tensors for direction in directions]
        norm = _norm({name: parameter.detach() for name, parameter in tracked_parameters(model).items()})
        self._steps = [
            relative * norm / _norm(tensors) for relative, tensors in zip(relative_steps, self._directions, strict=True)
        ]
        self._shifted = _copy_tracked(model)
        self._body, self._head = split(self._shifted)
        self._places = tracked_parameters(self._shifted)

    @torch.inference_mode()
    def score(self, batch: WindowBatch) -> TokenScores:
        """Scores of the label tokens of `batch`; the loss is the mean of both sides (error of order e squared)."""
        labels = batch.labels[batch.mask]
        influence, losses = [], []
        for tensors, step in zip(self._directions, self._steps, strict=True):
            above = self._losses_at(tensors, step, batch, labels)
            below = self._losses_at(tensors, -step, batch, labels)
            influence.append((above - below) / (2 * step))
            losses.append((above + below) / 2)
        return TokenScores(torch.stack(influence), torch.stack(losses).mean(0))

    def _losses_at(
        self, tensors: Mapping[str, torch.Tensor], step: float, batch: WindowBatch, labels: torch.Tensor
    ) -> torch.Tensor:
        origin = tracked_parameters(self._model)
        for name, place in self._places.items():
            torch.add(origin[name], tensors[name], alpha=step, out=place.data)
        return token_losses(self._head, self._body(batch.input_ids)[batch.mask], labels)


def _norm(tensors: Mapping[str, torch.Tensor]) -> float:
    return float(torch.stack([tensor.detach().double().norm() for tensor in tensors.values()]).norm())


def _copy_tracked(model: PreTrainedModel) -> PreTrainedModel:
    """A copy of `model` with tracked weights of its own and every other parameter shared."""
    tracked = {id(parameter) for parameter in tracked_parameters(model).values()}
    shared = {id(parameter): parameter for parameter in model.parameters() if id(parameter) not in tracked}
    return copy.deepcopy(model, memo=shared)
