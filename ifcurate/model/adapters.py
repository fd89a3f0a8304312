"""LoRA adapters: small layers that are trained beside a frozen model, and then all that influence is over."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ifcurate.errors import InputError, first_line
from ifcurate.model.trust import Trust
from ifcurate.storage.fetched import at_hand

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

PARTS = (".lora_A.", ".lora_B.")
"""In the names of an adapter's linear layers."""
DECIDING = ("peft_type", "r", "lora_alpha", "rank_pattern", "alpha_pattern", "use_rslora")
"""Entries of an adapter's configuration that decide what the model computes."""


def has_adapter(model: PreTrainedModel) -> bool:
    """Whether `model` runs with an adapter."""
    return bool(getattr(model, "_hf_peft_config_loaded", False))


def add_adapter(model: PreTrainedModel, adapter: str, dtype: torch.dtype, trust: Trust) -> None:
    """Run `model` with a LoRA adapter from now on, in place.

    Raises:
        InputError: peft is missing, or the adapter is none, is of another method, or does not fit the model.
    """
    try:
        from peft import PeftConfig
    except ImportError as error:
        raise InputError("option --adapter: needs peft; install `ifcurate[adapters]`.") from error
    adapter = at_hand(adapter)
    try:
        config = PeftConfig.from_pretrained(adapter)
        method = str(getattr(config.peft_type, "value", config.peft_type))
        if method != "LORA" or getattr(config, "use_dora", False):
            raise InputError(
                f"option --adapter: {adapter} is {'DoRA' if method == 'LORA' else method}, whose weights are no linear "
                "layers; give a LoRA adapter, or merge it into the model."
            )
        safe = (Path(adapter) / "adapter_model.safetensors").is_file()
        model.load_adapter(adapter, **({} if safe else {"use_safetensors": trust.of_weights()["use_safetensors"]}))
    except InputError:
        raise
    except Exception as error:  # peft, transformers and the Hub client raise many unrelated types here
        raise InputError(
            f"option --adapter: {adapter} cannot be loaded ({first_line(error)}); give a folder written by peft's "
            "save_pretrained, for this model."
        ) from error
    model.to(dtype)


def adapter_facts(model: PreTrainedModel) -> dict[str, Any]:
    """What decides the outputs of a model's adapters besides their weights; empty where there are none."""
    if not has_adapter(model):
        return {}
    return {name: {key: str(own.to_dict().get(key)) for key in DECIDING} for name, own in model.peft_config.items()}
