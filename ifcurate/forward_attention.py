"""Causal attention that has a forward-mode formula and never holds all scores: queries in blocks, plain operations.

PyTorch's fused attention kernels cannot be differentiated in forward mode, and its plain one holds batch x heads x
length x length scores. Here a block of queries attends to the keys up to its own end, so that memory is bounded and
half of the products are never computed; keys that several query heads share are not copied. Made of ordinary
operations, it is differentiated by `torch.func.jvp` and fused by `torch.compile` like everything around it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.masking_utils import sdpa_mask

NAME = "ifcurate_blocks"
"""The implementation's name in transformers."""
BLOCK_VALUES = {"cpu": 1 << 21, "cuda": 1 << 28}
"""Attention scores held at once, in values, by type of device."""
BLOCK_QUERIES = (64, 512)
"""Fewest and most queries a block."""


def attend_in_blocks(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    softcap: float | None = None,
    **ignored: Any,
) -> tuple[torch.Tensor, None]:
    """Attention as transformers calls it (`AttentionInterface`); softmax in float32 or wider.

    Args:
        module: the attention layer, unused.
        query: [batch, heads, length, width].
        key, value: [batch, key heads, length, width]; key heads divide heads.
        attention_mask: None for causal attention, or bool [batch or 1, 1, length, length], true where allowed.
        scaling: of the scores; default: width ** -0.5.
        softcap: scores z become softcap * tanh(z / softcap).
        ignored: what else transformers passes: nothing that changes the result at evaluation.

    Returns:
        [batch, length, heads, width].
    """
    batch, heads, length, width = query.shape
    shared = key.shape[1]
    grouped = (query * (width**-0.5 if scaling is None else scaling)).reshape(batch, shared, -1, length, width)
    wide = torch.promote_types(query.dtype, torch.float32)
    size = queries_per_block(batch * heads * length, query.device.type)
    outputs = []
    for first in range(0, length, size):
        end = min(first + size, length)
        rows = grouped[:, :, :, first:end].reshape(batch, shared, -1, width)
        scores = (rows @ key[:, :, :end].transpose(-1, -2)).to(wide)
        if softcap is not None:
            scores = softcap * torch.tanh(scores / softcap)
        scores = scores.reshape(batch, heads, end - first, end)
        allowed = _causal(first, end, query.device) if attention_mask is None else attention_mask[:, :, first:end, :end]
        weights = scores.masked_fill(~allowed, float("-inf")).softmax(-1).to(value.dtype)
        attended = weights.reshape(batch, shared, -1, end) @ value[:, :, :end]
        outputs.append(attended.reshape(batch, heads, end - first, value.shape[-1]))
    return torch.cat(outputs, dim=2).transpose(1, 2).contiguous(), None


def queries_per_block(scores_per_query: int, device: str) -> int:
    """Queries a block for batch x heads x length scores a query."""
    fewest, most = BLOCK_QUERIES
    return max(fewest, min(most, BLOCK_VALUES.get(device, BLOCK_VALUES["cpu"]) // scores_per_query))


@contextmanager
def attention_in_blocks(model: PreTrainedModel) -> Iterator[None]:
    """While the block runs, `model` attends through `attend_in_blocks`, if its architecture lets it be chosen."""
    before = model.config._attn_implementation
    model.set_attn_implementation(NAME)
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def _causal(first: int, end: int, device: torch.device) -> torch.Tensor:
    """Bool [queries, keys]: queries `first .. end` see keys up to themselves."""
    return torch.ones(end - first, end, dtype=torch.bool, device=device).tril(first)


AttentionInterface.register(NAME, attend_in_blocks)
AttentionMaskInterface.register(NAME, sdpa_mask)
