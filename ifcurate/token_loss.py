"""A causal language model as body and head, and the loss of every token without ever holding all logits."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn
from transformers import PreTrainedModel

CHUNK_VALUES = {"cpu": 1 << 21, "cuda": 1 << 28}
"""Logits held at once, in values, by type of device: on a CPU 8 MiB in float32, so that its caches help."""
FEWEST_ROWS = 128
"""Positions whose logits are computed at once, at least: fewer make matrix products slow for large vocabularies."""

Head = Callable[[torch.Tensor], torch.Tensor]


class TokenScores(NamedTuple):
    """What an engine says of the label tokens of a batch, row by row without padding, in float32 or wider.

    `influence` [directions, tokens]: derivative of each token's loss along each direction; `loss` [tokens]: nats.
    """

    influence: torch.Tensor
    loss: torch.Tensor


class Body(nn.Module):
    """Token ids [batch, length] to the features [batch, length, width] that the head turns into logits.

    No attention mask is needed: windows are padded on the right, and a causal model never looks there.
    """

    def __init__(self, inner: nn.Module, output: str) -> None:
        super().__init__()
        self.inner = inner
        self.output = output

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Features of every position."""
        features: torch.Tensor = getattr(self.inner(input_ids=input_ids, use_cache=False), self.output)
        return features


def split(model: PreTrainedModel) -> tuple[Body, Head]:
    """Body and head of `model`, checked on two tokens to give its own logits.

    Where the head is more than the output embedding (scaled or capped logits), the whole model is the body and the
    head is the identity: right for every architecture, only without the memory saved by chunking.
    """
    body, head = Body(model.base_model, "last_hidden_state"), model.get_output_embeddings()
    probe = torch.zeros(1, 2, dtype=torch.long, device=model.device)
    with torch.no_grad():
        expected = model(input_ids=probe, use_cache=False).logits
        if head is not None and torch.equal(head(body(probe)), expected):
            return body, head
    return Body(model, "logits"), nn.Identity()


def rows_per_chunk(head: Head, features: torch.Tensor) -> int:
    """How many positions' logits are computed at once."""
    values = head.out_features if isinstance(head, nn.Linear) else features.shape[-1]
    held = CHUNK_VALUES.get(features.device.type, CHUNK_VALUES["cpu"])
    return max(FEWEST_ROWS, held // int(values))


def token_losses(head: Head, features: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Loss of each label in nats.

    Args:
        head: features to logits.
        features: [tokens, width], one row a token that carries loss.
        labels: int64 [tokens].

    Returns:
        [tokens], in float32 or wider.
    """
    size = rows_per_chunk(head, features)
    chunks = [
        nn.functional.cross_entropy(_widened(head(rows)), wanted, reduction="none")
        for rows, wanted in zip(features.split(size), labels.split(size), strict=True)
    ]
    return torch.cat(chunks)


def token_loss_derivatives(
    head: Head, features: torch.Tensor, tangents: torch.Tensor, labels: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss of each label, and its derivatives when the features move along `tangents` and the head stands still.

    The gradient with respect to the logits, softmax - label, goes back through the head once, however many tangents
    there are, and its product with each tangent is the derivative.

    Args:
        head: features to logits.
        features: [tokens, width].
        tangents: [directions, tokens, width].
        labels: int64 [tokens].

    Returns:
        losses [tokens] and derivatives [directions, tokens], in float32 or wider.
    """
    size = rows_per_chunk(head, features)
    losses, derivatives = [], []
    for rows, moved, wanted in zip(features.split(size), tangents.split(size, dim=1), labels.split(size), strict=True):
        logits, pull_back = torch.func.vjp(head, rows)[:2]
        chosen = wanted[:, None]
        slopes = logits.log_softmax(-1, dtype=_wide(logits))
        losses.append(-slopes.gather(-1, chosen)[:, 0])
        slopes = slopes.exp_().scatter_add_(-1, chosen, -torch.ones_like(chosen, dtype=slopes.dtype))
        (gradient,) = pull_back(slopes.to(logits.dtype))
        derivatives.append(torch.linalg.vecdot(moved.to(slopes.dtype), gradient.to(slopes.dtype)))
    return torch.cat(losses), torch.cat(derivatives, dim=1)


def _wide(values: torch.Tensor) -> torch.dtype:
    return torch.promote_types(values.dtype, torch.float32)


def _widened(logits: torch.Tensor) -> torch.Tensor:
    return logits.to(_wide(logits))
