"""Tiny models of the shapes that models have today, each saved as it is published."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from mxfp4_files import save_mxfp4
from tiny_models import SMALL, WIDE, tiny_gemma3, tiny_model
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma3TextConfig,
    LlamaConfig,
    MistralConfig,
    Phi3Config,
    PretrainedConfig,
    PreTrainedModel,
    Qwen2Config,
)

SLIDING = 8
"""Tokens of a sliding window: fewer than a window of scoring has."""
NARROW = {**SMALL, **WIDE, "intermediate_size": 48, "num_key_value_heads": 2}
GEMMA = {**NARROW, "head_dim": 8, "sliding_window": SLIDING, "layer_types": ["sliding_attention", "full_attention"]}
SCALED = {"rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 16}
LLAMA3 = {**SCALED, "rope_type": "llama3", "low_freq_factor": 1.0, "high_freq_factor": 4.0}
YARN = {**SCALED, "rope_type": "yarn"}
LONGROPE = {"rope_type": "longrope", "rope_theta": 10000.0, "short_factor": [1.5] * 4, "long_factor": [3.0] * 4}


def built(config: PretrainedConfig) -> PreTrainedModel:
    """With weights wide enough that losses differ from token to token."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.15)
    return model.eval()


def saved(build: Callable[[], PreTrainedModel]) -> Callable[[Path], dict[str, Any]]:
    def save(folder: Path) -> dict[str, Any]:
        build().save_pretrained(folder)
        return {}

    return save


def in_mxfp4(folder: Path) -> dict[str, Any]:
    save_mxfp4(folder)
    return {"dequantize": True}


SHAPES: dict[str, Callable[[Path], dict[str, Any]]] = {
    "soft caps": saved(lambda: built(Gemma2Config(**GEMMA, attn_logit_softcapping=2.0, final_logit_softcapping=3.0))),
    "gemma3 text": saved(lambda: built(Gemma3TextConfig(**GEMMA))),
    "multimodal": saved(tiny_gemma3),
    "mistral sliding": saved(lambda: built(MistralConfig(**NARROW, sliding_window=SLIDING))),
    "qwen2 sliding": saved(
        lambda: built(Qwen2Config(**NARROW, use_sliding_window=True, sliding_window=SLIDING, max_window_layers=1))
    ),
    "llama3 rope": saved(lambda: built(LlamaConfig(**NARROW, rope_parameters=LLAMA3))),
    "yarn": saved(lambda: built(LlamaConfig(**NARROW, rope_parameters=YARN))),
    "longrope": saved(
        lambda: built(
            Phi3Config(**NARROW, pad_token_id=0, original_max_position_embeddings=32, rope_parameters=LONGROPE)
        )
    ),
    "sinks and experts": saved(lambda: tiny_model("gpt_oss")),
    "olmoe": saved(lambda: tiny_model("olmoe")),
    "qwen3 moe": saved(lambda: tiny_model("qwen3_moe")),
    "mixtral": saved(lambda: tiny_model("mixtral")),
    "mxfp4": in_mxfp4,
}
"""Name to what saves such a model into a folder and says how it is stored."""
