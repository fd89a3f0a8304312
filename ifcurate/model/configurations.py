"""What a model's configuration says before its weights are read."""

from __future__ import annotations

from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoConfig, PretrainedConfig

from ifcurate.errors import InputError
from ifcurate.model.trust import Trust
from ifcurate.storage.fetched import at_hand

TEXT = "text"


def read_config(name_or_path: str, revision: str | None, trust: Trust) -> PretrainedConfig | None:
    """The configuration of a model; None where it cannot be read, of which whoever loads the model says why."""
    try:
        return AutoConfig.from_pretrained(at_hand(name_or_path), revision=revision, **trust.of_code())
    except Exception:  # transformers and the Hub client raise many unrelated types here
        return None


def require_text(config: PretrainedConfig | None, name_or_path: str) -> None:
    """Refuse a causal model of something else than text.

    Raises:
        InputError: names what it is of.
    """
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        return
    said = getattr(MODEL_FOR_CAUSAL_LM_MAPPING[type(config)], "output_modalities", None)
    if said and TEXT not in said:
        raise InputError(f"{name_or_path}: is a model of {' and '.join(said)}, not of text; give a language model.")
