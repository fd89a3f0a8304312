"""Token influence by finite differences: ordinary forward passes with the weights moved along v.

The head does not move, so only the features f that the body gives to it are differenced. Central: f' = (f(theta + e v)
- f(theta - e v)) / 2e, two passes a direction. One-sided: f' = (f(theta + e v) - f(theta)) / e, one pass a direction
and one that all directions share. The derivative of the loss along f' is exact, and costs what two passes through the
head cost, however many directions there are. The truncation error grows with e squared, or with e, the rounding error
of the features with 1/e; the best step between them is found by comparison with forward mode.

Where a model chooses by what it reads (its experts, say), what it chooses at theta is held on both sides, at the cost
of one more pass for central differences: the jump of a choice that flips would be divided by e.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from transformers import PreTrainedModel

from ifcurate.influence.direction import Direction
from ifcurate.model.devices import resolve_batch_tokens
from ifcurate.model.layers import tracked_parameters
from ifcurate.model.routing import Choices, Holding, Keeping, makes_choices
from ifcurate.model.token_loss import TokenScores, split, token_loss_derivatives
from ifcurate.model.windows import WindowBatch


class FiniteDifference:
    """Central differences: 2 forward passes a direction, error of order e squared."""

    def __init__(
        self, model: PreTrainedModel, directions: Sequence[Direction], relative_steps: Sequence[float]
    ) -> None:
        """Step e of a direction is `relative_step * |theta| / |v|` over the tracked weights."""
        self._moved = _MovedModel(model, directions, relative_steps)

    @torch.inference_mode()
    def score(self, batch: WindowBatch) -> TokenScores:
        """Scores of the label tokens of `batch`; losses are at the mean of all sides (error of order e squared)."""
        middles, tangents = [], []
        self._moved.hold_choices(batch)
        for number, step in enumerate(self._moved.steps):
            above = self._moved.features_at(number, step, batch)
            below = self._moved.features_at(number, -step, batch)
            middles.append((above + below) / 2)
            tangents.append((above - below) / (2 * step))
        return self._moved.scores(torch.stack(middles).mean(0), torch.stack(tangents), batch)


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
        moved = self._moved
        base = moved.features_at_origin(batch)
        tangents = [(moved.features_at(number, step, batch) - base) / step for number, step in enumerate(moved.steps)]
        return moved.scores(base, torch.stack(tangents), batch)


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
        self._pass_tokens = resolve_batch_tokens(None, model.device.type)
        self._places = tracked_parameters(copied)
        self._body, self._head = split(copied)
        self._chooses = makes_choices(self._body, model.device)
        self._held: list[Choices] = []

    def hold_choices(self, batch: WindowBatch) -> None:
        """From here on `features_at`, of the same batch, chooses as the unmoved model does."""
        if self._chooses:
            self.features_at_origin(batch)

    def features_at_origin(self, batch: WindowBatch) -> torch.Tensor:
        """Features of the unmoved model, whose choices `features_at` makes from here on."""
        self._move(0, 0.0)
        features = []
        self._held = []
        for part in batch.split(self._pass_tokens):
            with Keeping() as kept:
                features.append(self._features(part))
            self._held.append(kept.choices)
        return torch.cat(features)

    def features_at(self, number: int, step: float, batch: WindowBatch) -> torch.Tensor:
        """Features [tokens, width] before the label tokens of `batch`, at theta + step * v of direction `number`."""
        self._move(number, step)
        features = []
        for index, part in enumerate(batch.split(self._pass_tokens)):
            with self._choosing_again(index):
                features.append(self._features(part))
        return torch.cat(features)

    def _choosing_again(self, index: int) -> AbstractContextManager[Any]:
        return Holding(self._held[index]) if self._chooses else nullcontext()

    def _move(self, number: int, step: float) -> None:
        tensors = self._directions[number]
        for name, place in self._places.items():
            torch.add(self._origin[name], tensors[name], alpha=step, out=place.data)

    def _features(self, part: WindowBatch) -> torch.Tensor:
        return self._body(part.input_ids, part.positions)[part.mask]

    def scores(self, features: torch.Tensor, tangents: torch.Tensor, batch: WindowBatch) -> TokenScores:
        """Losses of the label tokens, and their derivatives along `tangents` [directions, tokens, width]."""
        losses, influence = token_loss_derivatives(self._head, features, tangents, batch.labels[batch.mask])
        return TokenScores(influence, losses)


def _copy_tracked(model: PreTrainedModel) -> PreTrainedModel:
    """A copy of `model` with tracked weights of its own and every other parameter shared."""
    tracked = {id(parameter) for parameter in tracked_parameters(model).values()}
    shared = {id(parameter): parameter for parameter in model.parameters() if id(parameter) not in tracked}
    return copy.deepcopy(model, memo=shared)
