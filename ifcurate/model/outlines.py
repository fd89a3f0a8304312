"""A model's shapes from its configuration alone: no weight is read, and nothing is computed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ifcurate.errors import InputError
from ifcurate.model.checkpoints import load_causal_lm, not_loaded
from ifcurate.model.configurations import read_config, require_text
from ifcurate.model.stored import AS_IS, Stored
from ifcurate.model.trust import NOBODY, Trust

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def outline(
    name_or_path: str, revision: str | None = None, trust: Trust = NOBODY, stored: Stored = AS_IS
) -> PreTrainedModel:
    """A model as `load_causal_lm` makes it, in float32 on the device `meta`, where tensors have shapes and no values.

    What stands in GGUF, is quantized or has an adapter has its shapes in its weights, and is loaded.

    Raises:
        InputError: there is no such model, or it is none that `load_causal_lm` would take.
    """
    from transformers import AutoModelForCausalLM

    from ifcurate.model.experts import use_own_experts
    from ifcurate.model.plain_linears import use_plain_linears

    if stored != AS_IS:
        return load_causal_lm(name_or_path, revision, trust=trust, stored=stored).to("meta")
    config = read_config(name_or_path, revision, trust)
    if config is None:
        raise InputError(
            f"{name_or_path}: has no configuration that can be read; give --model a folder written by save_pretrained "
            "or a Hub id."
        )
    require_text(config, name_or_path)
    try:
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(
                config, dtype=torch.float32, attn_implementation="eager", **trust.of_code()
            )
    except Exception as error:  # transformers raises many unrelated types here
        raise not_loaded(name_or_path, error, trust) from error
    use_plain_linears(model)
    use_own_experts(model)
    return model.eval()
