"""A model that writes with more of a behaviour in its hidden states, or with less: activation addition."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.utils.hooks import RemovableHandle
from transformers import PreTrainedModel

from ifcurate.errors import InputError
from ifcurate.evaluation.activations import Activations, block_state
from ifcurate.model.layers import decoder_blocks


def steer(model: PreTrainedModel, activations: Activations, block: int, strength: float) -> RemovableHandle:
    """Add `strength` times the difference of decoder block `block` to what comes out of it, at every position.

    Positive strengths lead towards the behaviour; 1 is the whole way from the contrast's mean to the behaviour's. The
    model need not be the one that the activations are of, only of its shape.

    Returns:
        A handle, with which it can be ended.

    Raises:
        InputError: the model has other blocks or another width, or no such block.
    """
    blocks, width = decoder_blocks(model)[1], model.config.get_text_config().hidden_size
    if activations.differences.shape != (len(blocks), width):
        count, of_width = activations.differences.shape
        raise InputError(
            f"option --steer-by: is of {count} blocks of width {of_width}, and {model.name_or_path} has {len(blocks)} "
            f"of {width}; give activations of a model of the same shape."
        )
    if not 0 <= block < len(blocks):
        raise InputError(f"option --steer-block: {block} is none of the blocks 0 to {len(blocks) - 1}; give one.")

    def add(module: nn.Module, inputs: Any, output: Any) -> Any:
        state = block_state(output)
        moved = state + strength * activations.differences[block].to(state)
        return (moved, *output[1:]) if isinstance(output, tuple) else moved

    return blocks[block].register_forward_hook(add)
