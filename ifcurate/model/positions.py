"""Rotary positions that change with the longest row of a batch, held where they are for short ones."""

from __future__ import annotations

from transformers import PreTrainedModel

from ifcurate.errors import InputError

MOVING, HELD = "longrope", "longrope held"
"""LongRoPE has other frequencies once the longest row is longer than the original context; transformers then writes
them over the first ones, which no derivative passes. Under a kind that it does not know, it leaves them alone."""


def hold_positions(model: PreTrainedModel, context: int) -> None:
    """Fix the frequencies of `model`, in place, to those of windows of at most `context` tokens.

    Raises:
        InputError: windows are so long that what the model says of a token depends on the other windows of its batch.
    """
    config = model.config.get_text_config()
    rope = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    for part in (rope, *(own for own in rope.values() if isinstance(own, dict))):
        own = part.get("original_max_position_embeddings")
        original = own or getattr(config, "original_max_position_embeddings", None)
        if part.get("rope_type", part.get("type")) == MOVING and original is not None and context > original:
            raise InputError(
                f"option --context: {context} tokens are more than the {original} up to which this model's positions "
                f"do not depend on its longest row (longrope); give --context {original} or less."
            )
    for module in model.modules():
        kind = getattr(module, "rope_type", None)
        if kind == MOVING:
            module.rope_type = HELD
        elif isinstance(kind, dict):
            module.rope_type = {name: HELD if own == MOVING else own for name, own in kind.items()}
