"""A causal language model as body and head, and the loss of every token without ever holding all logits."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import nn
from transformers import PreTrainedModel

CHUNK_VALUES = {"cpu": 1 << 21, "cuda": 1 << 28}
"""Logits held at once, in values, by type of device: on a CPU 8 MiB in float32, so that its caches help."""
FEWEST_ROWS = 128
"""Positions whose logits are computed at once, at least: fewer make matrix products slow for large vocabularies."""

TILE = {"cpu": (2048, 2048), "cuda": (4096, 65_536)}
"""Positions and vocabulary entries whose logits `_tiled_slope` holds at once, by type of device: on a CPU 16 MiB in
float32, so that products are fast and the softmax reads from the cache."""
FUSED_ROWS = 512
"""Positions a thread from which PyTorch's kernel, which works on blocks of 256, is faster than tiles."""

Head = Callable[[torch.Tensor], torch.Tensor]
Slope = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
"""Rows [tokens, width] and labels [tokens] to losses [tokens] and their gradients [tokens, width]."""


class TokenScores(NamedTuple):
    """What an engine says of the label tokens of a batch, row by row without padding, in float32 or wider.

    `influence` [directions, tokens]: derivative of each token's loss along each direction; `loss` [tokens]: nats.
    `of_context` [directions, context tokens]: what flows through tokens without a loss, where scores are of positions.
    """

    influence: torch.Tensor
    loss: torch.Tensor
    of_context: torch.Tensor | None = None


class Body(nn.Module):
    """Token ids [batch, length] to the features [batch, length, width] that the head turns into logits.

    No attention mask is needed: windows are padded on the right, and a causal model never looks there. Where a row
    holds several windows, transformers keeps them apart: a window begins where `positions` do not count on.
    """

    def __init__(self, inner: nn.Module, output: str) -> None:
        super().__init__()
        self.inner = inner
        self.output = output

    def forward(self, input_ids: torch.Tensor, positions: torch.Tensor | None = None) -> torch.Tensor:
        """Features of every position; `positions` as in `WindowBatch`."""
        output = self.inner(input_ids=input_ids, position_ids=positions, use_cache=False)
        features: torch.Tensor = getattr(output, self.output)
        return features


def split(model: PreTrainedModel) -> tuple[Body, Head]:
    """Body and head of `model`, checked on two tokens to give its own logits.

    Where the head is more than the output embedding (scaled or capped logits), or the model has no body of its own, the
    whole model is the body and the head is the identity: right for every architecture, only without the memory saved
    by chunking.
    """
    body, head = Body(model.base_model, "last_hidden_state"), model.get_output_embeddings()
    probe = torch.zeros(1, 2, dtype=torch.long, device=model.device)
    if isinstance(head, nn.Linear) and model.base_model is not model:
        with torch.no_grad():
            expected = model(input_ids=probe, use_cache=False).logits
            features = body(probe)
            if features.shape[-1] == head.in_features and torch.equal(head(features), expected):
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

    The gradient with respect to the features is computed once, however many tangents there are, and its product with
    each tangent is the derivative.

    Args:
        head: features to logits.
        features: [tokens, width].
        tangents: [directions, tokens, width].
        labels: int64 [tokens].

    Returns:
        losses [tokens] and derivatives [directions, tokens], in float32 or wider.
    """
    size, slope = _slope_for(head, features)
    losses, derivatives = [], []
    for rows, moved, wanted in zip(features.split(size), tangents.split(size, dim=1), labels.split(size), strict=True):
        loss, gradient = slope(rows, wanted)
        losses.append(loss)
        derivatives.append(torch.linalg.vecdot(_widened(moved), gradient))
    return torch.cat(losses), torch.cat(derivatives, dim=1)


def _slope_for(head: Head, features: torch.Tensor) -> tuple[int, Slope]:
    """How to get losses and their gradients, and for how many rows at once."""
    if type(head) is not nn.Linear:
        return rows_per_chunk(head, features), partial(_slope, head)
    wide = features.device.type == "cpu" and features.dtype == _wide(features)
    eager = not torch.compiler.is_compiling()  # a compiler fuses tiles itself
    if wide and eager and head.bias is None and len(features) >= FUSED_ROWS * torch.get_num_threads():
        return len(features), partial(_fused_slope, head)
    return TILE.get(features.device.type, TILE["cpu"])[0], partial(_tiled_slope, head)


def _fused_slope(head: nn.Linear, rows: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss of each row and its gradient: the mean output embedding under the softmax, minus the label's own.

    That mean is attention of the rows to the vocabulary, with the output embeddings as keys and values, so PyTorch's
    flash attention for CPUs computes it, and never holds more than a block of logits. Losses and gradients have the
    rounding error of the logits: where the label is nearly certain it can be all that is left of them.
    """
    vocabulary = head.weight[None, None]
    means, normalizers = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        rows[None, None], vocabulary, vocabulary, scale=1.0
    )
    own = head.weight[labels]
    losses = normalizers[0, 0] - torch.linalg.vecdot(rows, own)
    return losses.clamp_(min=0), means[0, 0] - own  # below zero by rounding only


def _tiled_slope(head: nn.Linear, rows: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What `_fused_slope` computes, for every dtype and device, with or without a bias.

    As in flash attention (arXiv 2205.14135) the mean is gathered tile by tile, relative to the largest logit so far.
    The label's part of it stays out of the sums: where the label is nearly certain, it would drown all others and
    cancel against itself.
    """
    columns = TILE.get(rows.device.type, TILE["cpu"])[1]
    weights = head.weight.split(columns)
    biases = [None] * len(weights) if head.bias is None else head.bias.split(columns)
    others = torch.zeros(rows.shape, dtype=_wide(rows), device=rows.device)
    total = torch.zeros_like(others[:, :1])
    largest, own = torch.full_like(total, -math.inf), torch.zeros_like(total)
    for number, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        logits = _widened(nn.functional.linear(rows, weight, bias))
        place = labels[:, None] - number * columns
        inside = (place >= 0) & (place < len(weight))
        place = place.clamp(0, len(weight) - 1)
        own = torch.where(inside, logits.gather(1, place), own)
        before, largest = largest, torch.maximum(largest, logits.amax(1, keepdim=True))
        shares = logits.sub_(largest).exp_()
        shares.scatter_(1, place, shares.gather(1, place).masked_fill_(inside, 0))
        shrunk = before.sub_(largest).exp_()
        total.mul_(shrunk).add_(shares.sum(1, keepdim=True))
        others.mul_(shrunk).add_(shares.to(weight.dtype) @ weight)
    chance = total + own.sub_(largest).exp()
    losses = (chance.log() - own)[:, 0]
    return losses, (others - total * _widened(head.weight[labels])) / chance


def _slope(head: Head, rows: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss of each row and its gradient, by way of all its logits."""
    logits, pull_back = torch.func.vjp(head, rows)[:2]
    chosen = labels[:, None]
    slopes = logits.log_softmax(-1, dtype=_wide(logits))
    losses = -slopes.gather(-1, chosen)[:, 0]
    slopes = slopes.exp_().scatter_add_(-1, chosen, -torch.ones_like(chosen, dtype=slopes.dtype))
    (gradient,) = pull_back(slopes.to(logits.dtype))
    return losses, _widened(gradient)


def _wide(values: torch.Tensor) -> torch.dtype:
    return torch.promote_types(values.dtype, torch.float32)


def _widened(logits: torch.Tensor) -> torch.Tensor:
    return logits.to(_wide(logits))
