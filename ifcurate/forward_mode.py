"""Token influence by forward-mode differentiation: exact, and accurate in bfloat16.

One pass through the body carries features and their derivative along v (about three forward passes' work), and the
head turns both into losses and influence. `torch.func.jvp` needs attention with a forward-mode formula, which of
PyTorch's kernels only the plain one has.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import PreTrainedModel

from ifcurate.direction import Direction
from ifcurate.token_loss import TokenScores, split, token_loss_derivatives
from ifcurate.tracking import tracked_parameters
from ifcurate.windows import WindowBatch


class ForwardMode:
    """Exact derivatives along each direction, in the dtype of the model's weights."""

    def __init__(self, model: PreTrainedModel, directions: Sequence[Direction]) -> None:
        self._body, self._head = split(model)
        names = {id(parameter): name for name, parameter in self._body.named_parameters()}
        tracked = tracked_parameters(model)
        self._origin = {names[id(parameter)]: parameter.detach() for parameter in tracked.values()}
        self._tangents = [
            {
                names[id(parameter)]: direction.tensors[name].to(parameter.device, parameter.dtype)
                for name, parameter in tracked.items()
            }
            for direction in directions
        ]

    @torch.no_grad()
    def score(self, batch: WindowBatch) -> TokenScores:
        """Scores of the label tokens of `batch`."""

        def features(weights: dict[str, torch.Tensor]) -> torch.Tensor:
            result: torch.Tensor = torch.func.functional_call(self._body, weights, (batch.input_ids,))
            return result

        labels = batch.labels[batch.mask]
        influence = []
        for tangent in self._tangents:
            with sdpa_kernel(SDPBackend.MATH):
                values, derivatives = torch.func.jvp(features, (self._origin,), (tangent,))[:2]
            rows, tangents = values[batch.mask], derivatives[batch.mask]
            losses, slopes = token_loss_derivatives(self._head, rows, tangents, labels)
            influence.append(slopes)
        return TokenScores(torch.stack(influence), losses)
