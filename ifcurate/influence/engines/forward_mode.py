"""Token influence by forward-mode differentiation: exact, and accurate in bfloat16.

One pass through the body carries features and their derivatives along every direction: about 1 + 2K forward passes'
matrix products for K directions. The head adds two passes of its own, whatever K is.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.func import functional_call, jvp, vmap
from transformers import PreTrainedModel

from ifcurate.influence.direction import Direction
from ifcurate.influence.engines.attention import attention_in_blocks
from ifcurate.model.layers import tracked_parameters
from ifcurate.model.token_loss import TokenScores, split, token_loss_derivatives
from ifcurate.model.windows import WindowBatch


class ForwardMode:
    """Exact derivatives along each direction, in the dtype of the model's weights."""

    def __init__(self, model: PreTrainedModel, directions: Sequence[Direction]) -> None:
        self._model = model
        self._body, self._head = split(model)
        names = {id(parameter): name for name, parameter in self._body.named_parameters()}
        tracked = tracked_parameters(model)
        self._origin = {names[id(parameter)]: parameter.detach() for parameter in tracked.values()}
        self._tangents = {
            names[id(parameter)]: stack_tangents(directions, name, parameter) for name, parameter in tracked.items()
        }

    @torch.no_grad()
    def score(self, batch: WindowBatch) -> TokenScores:
        """Scores of the label tokens of `batch`."""
        values, derivatives = self.features(batch)
        mask = batch.mask
        losses, slopes = token_loss_derivatives(self._head, values[mask], derivatives[:, mask], batch.labels[mask])
        return TokenScores(slopes, losses)

    @torch.no_grad()
    def features(self, batch: WindowBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """Features [batch, length, width] and their derivatives [directions, batch, length, width]."""
        with attention_in_blocks(self._model):
            return self._features(batch.input_ids, batch.positions)

    def _features(self, input_ids: torch.Tensor, positions: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        def features(weights: dict[str, torch.Tensor]) -> torch.Tensor:
            result: torch.Tensor = functional_call(self._body, weights, (input_ids, positions))
            return result

        def along(tangents: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
            values, derivatives = jvp(features, (self._origin,), (tangents,))[:2]
            return values, derivatives

        values, derivatives = vmap(along)(self._tangents)
        return values[0], derivatives  # the values depend on no direction: one computation, expanded


def stack_tangents(directions: Sequence[Direction], name: str, parameter: torch.Tensor) -> torch.Tensor:
    """The part of each direction that moves the parameter `name`: [directions, *shape], on its device in its dtype."""
    return torch.stack([direction.tensors[name].to(parameter.device, parameter.dtype) for direction in directions])
