"""How many positions fit into memory at once, from the model's shape: what batches begin with, before any fails."""

from __future__ import annotations

import torch
from transformers import PreTrainedModel

from ifcurate.influence.engines import ENGINES
from ifcurate.machine import memory
from ifcurate.model.devices import resolve_batch_tokens
from ifcurate.model.layers import tracked_parameters
from ifcurate.model.token_loss import split

SHARE_FOR_ACTIVATIONS = 0.4
"""Of the memory at hand; the rest is for logits, attention scores, the allocator's gaps and other processes."""
INTERPRETER_BYTES = 1 << 29
"""What a process holds before it loads a model: Python, PyTorch and their libraries."""
LIVE_WIDTHS, LIVE_INNER_WIDTHS = 8, 4
"""Tensors alive at once in a decoder block, in hidden widths and feed-forward widths a position."""
PASSES = 4
"""Forward passes a batch of finite differences on a CPU: moving the weights once for all makes it nearly free, and
between passes no more than their features is held."""


def automatic_batch_tokens(model: PreTrainedModel, engine: str, directions: int, workers: int = 1) -> int:
    """Positions a batch, a power of two: what fits, and no more than makes the device faster.

    Args:
        model: on its device, in its dtype.
        engine: forward mode carries tangents, the reference engine keeps every block's activations.
        directions: scored along at once.
        workers: processes that share a CPU's memory; a GPU is one worker's own.
    """
    on_gpu = model.device.type == "cuda"
    most = resolve_batch_tokens(None, model.device.type)
    share = memory_at_hand(model.device) if on_gpu else memory_at_hand(model.device) // workers
    room = int(share * SHARE_FOR_ACTIVATIONS)
    several = ENGINES[engine].needs_step and not on_gpu
    if several and room >= most * bytes_per_position(model, engine, directions, PASSES):
        return PASSES * most
    fitting = room // bytes_per_position(model, engine, directions)
    return min(most, 1 << max(0, fitting.bit_length() - 1))


def bytes_per_position(model: PreTrainedModel, engine: str, directions: int, passes: int = 1) -> int:
    """Estimate of the activations of one position, in bytes; with the features of `passes - 1` positions before it."""
    config = model.config.get_text_config()
    hidden = int(config.hidden_size)
    inner = int(getattr(config, "intermediate_size", None) or getattr(config, "n_inner", None) or 4 * hidden)
    block = (LIVE_WIDTHS * hidden + LIVE_INNER_WIDTHS * inner) * model.dtype.itemsize
    if ENGINES[engine].keeps_activations:
        return block * 2 * int(config.num_hidden_layers) + 16 * int(config.vocab_size)
    ends = (2 + 2 * directions) * int(config.vocab_size if _holds_logits(model) else hidden) * model.dtype.itemsize
    return passes * ends + (block * (1 + 2 * directions) if ENGINES[engine].carries_tangents else block)


def _holds_logits(model: PreTrainedModel) -> bool:
    """Whether all logits are held as features are; an outline, which cannot be run, is taken to have a head."""
    return model.device.type != "meta" and isinstance(split(model)[1], torch.nn.Identity)


def bytes_per_worker(model: PreTrainedModel, engine: str, directions: int) -> int:
    """Estimate of what one process that scores on a CPU holds, its activations apart.

    That is the model in float32, as it is loaded, every direction, and for finite differences the tracked weights once
    more.
    """
    tracked = sum(parameter.numel() for parameter in tracked_parameters(model).values())
    values = sum(parameter.numel() for parameter in model.parameters())
    return INTERPRETER_BYTES + 4 * (values + tracked * (directions + ENGINES[engine].needs_step))


def workers_that_fit(worker_bytes: int) -> int:
    """How many such processes the memory at hand has room for, beside their activations; at least one."""
    return max(1, int(memory() * (1 - SHARE_FOR_ACTIVATIONS)) // worker_bytes)


def memory_at_hand(device: torch.device) -> int:
    """Free bytes of a GPU; all that this process may use for a CPU, so that the same command makes the same batches."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return memory()
