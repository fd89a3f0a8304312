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

from ifcurate.errors import InputError

NAME = "ifcurate_blocks"
"""The implementation's name in transformers."""
BLOCK_VALUES = {"cpu": 1 << 19, "cuda": 1 << 28}
"""Attention scores held at once, in values, by type of device."""
BLOCK_QUERIES = (64, 512)
"""Fewest and most queries a block."""
WITHOUT_EFFECT = frozenset({"dropout", "sliding_window", "position_ids", "cache_position", "position_embeddings"})
"""What transformers passes beside these, and what changes nothing at evaluation: windows that slide are in the mask."""


def attend_in_blocks(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    softcap: float | None = None,
    s_aux: torch.Tensor | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """Attention as transformers calls it (`AttentionInterface`); softmax in float32 or wider.

    Args:
        module: the attention layer, unused.
        query: [batch, heads, length, width].
        key, value: [batch, key heads, length, width]; key heads divide heads.
        attention_mask: None for causal attention, or [batch or 1, heads or 1, length, length]: bool, true where
            allowed, or what is added to the scores.
        scaling: of the scores; default: width ** -0.5.
        softcap: scores z become softcap * tanh(z / softcap).
        s_aux: [heads], attention sinks: a score of every query to nothing at all.
        others: what else transformers passes.

    Returns:
        [batch, length, heads, width].

    Raises:
        InputError: there is a tensor in `others` that we do not know, so the result would be wrong.
    """
    _refuse_unknown(others)
    batch, heads, length, width = query.shape
    shared = key.shape[1]
    grouped = (query * (width**-0.5 if scaling is None else scaling)).reshape(batch, shared, -1, length, width)
    sequences, queries = block_shape(heads * length, batch, query.device.type)
    key, value = key.contiguous(), value.contiguous()  # once, not for every block that sees them
    outputs = []
    for begin in range(0, batch, sequences):
        part = slice(begin, begin + sequences)
        rows = [
            _attend(
                grouped[part, :, :, first : first + queries], key[part], value[part], first, softcap, allowed, s_aux
            )
            for first, allowed in _allowed(attention_mask, part, length, queries)
        ]
        outputs.append(torch.cat(rows, dim=2))
    return torch.cat(outputs).transpose(1, 2).contiguous(), None


def block_shape(scores_per_query: int, batch: int, device: str) -> tuple[int, int]:
    """Sequences and queries a block, for heads x length scores a query of one sequence."""
    fewest, most = BLOCK_QUERIES
    held = BLOCK_VALUES.get(device, BLOCK_VALUES["cpu"]) // scores_per_query
    queries = max(fewest, min(most, held // batch))
    return max(1, min(batch, held // queries)), queries


def _allowed(
    mask: torch.Tensor | None, sequences: slice, length: int, queries: int
) -> Iterator[tuple[int, torch.Tensor | None]]:
    """First query of each block, and which keys up to its end each query may see; None for causal attention."""
    for first in range(0, length, queries):
        end = min(first + queries, length)
        yield first, None if mask is None else mask[sequences if len(mask) > 1 else slice(None), :, first:end, :end]


def _attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    first: int,
    softcap: float | None,
    allowed: torch.Tensor | None,
    sinks: torch.Tensor | None,
) -> torch.Tensor:
    """One block, [sequences, heads, queries, width] from queries [sequences, key heads, shared by, queries, width]."""
    sequences, shared, _, queries, width = query.shape
    end = first + queries
    wide = torch.promote_types(query.dtype, torch.float32)
    scores = (query.reshape(sequences, shared, -1, width) @ key[:, :, :end].transpose(-1, -2)).to(wide)
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    scores = scores.reshape(sequences, -1, queries, end)
    if allowed is None:  # only the keys of the block itself can lie after a query
        later = torch.ones(queries, queries, dtype=torch.bool, device=query.device).triu(1)
        scores[..., first:].masked_fill_(later, float("-inf"))
    elif allowed.dtype == torch.bool:
        scores = scores.masked_fill(~allowed, float("-inf"))
    else:
        scores = scores + allowed
    weights = _shares(scores, sinks).to(value.dtype)
    attended = weights.reshape(sequences, shared, -1, end) @ value[:, :, :end]
    return attended.reshape(sequences, -1, queries, value.shape[-1])


def _shares(scores: torch.Tensor, sinks: torch.Tensor | None) -> torch.Tensor:
    """Softmax of scores [sequences, heads, queries, keys]; what goes to sinks [heads] goes to no key."""
    if sinks is None:
        return scores.softmax(-1)
    nothing = sinks.to(scores.dtype).reshape(1, -1, 1, 1).expand(*scores.shape[:-1], 1)
    return torch.cat([scores, nothing], dim=-1).softmax(-1)[..., :-1]


def _refuse_unknown(others: dict[str, Any]) -> None:
    for name, value in others.items():
        if isinstance(value, torch.Tensor) and name not in WITHOUT_EFFECT:
            raise InputError(
                f"option --model: its attention takes `{name}`, which the derivative of ours does not know; give a "
                "model of another architecture."
            )


@contextmanager
def attention_in_blocks(model: PreTrainedModel) -> Iterator[None]:
    """While the block runs, `model` attends through `attend_in_blocks`, if its architecture lets it be chosen.

    One that names no implementation beside its own code expects masks to be added, and may have keys that are no
    tokens (DeepSeek 4's compressed ones): it attends as it always does.
    """
    if not _names_implementations(model):
        yield
        return
    before = model.config._attn_implementation
    model.set_attn_implementation(NAME)
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def _names_implementations(model: PreTrainedModel) -> bool:
    """Whether the model or, where that is a wrapper around images and text, its decoder does."""
    parts = [part for part in (model, model.get_decoder()) if isinstance(part, PreTrainedModel)]
    return any(part._supports_sdpa or part._supports_flex_attn for part in parts)


AttentionInterface.register(NAME, attend_in_blocks)
AttentionMaskInterface.register(NAME, sdpa_mask)
