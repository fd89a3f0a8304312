"""Tiny real models of each supported family, with random weights from a seed, and a tokenizer to go with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    Gemma3Config,
    GPT2Config,
    GPTNeoXConfig,
    GptOssConfig,
    LlamaConfig,
    MixtralConfig,
    OlmoeConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3MoeConfig,
)

from ifcurate.model.experts import use_own_experts
from ifcurate.model.plain_linears import use_plain_linears

FAMILIES = ("gpt_neox", "llama", "qwen2", "gpt2")
EXPERT_FAMILIES = ("olmoe", "qwen3_moe", "mixtral", "gpt_oss")
"""Mixtures of experts: gpt-oss has biases, transposed tensors and attention sinks."""
VOCABULARY = 300
SMALL = {"vocab_size": VOCABULARY, "bos_token_id": 0, "eos_token_id": 0}
WIDE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 64}
CONFIGS: dict[str, tuple[type, dict[str, Any]]] = {
    "gpt_neox": (GPTNeoXConfig, {**WIDE, "intermediate_size": 64}),
    "llama": (LlamaConfig, {**WIDE, "intermediate_size": 48, "num_key_value_heads": 2, "tie_word_embeddings": True}),
    "qwen2": (Qwen2Config, {**WIDE, "intermediate_size": 48, "num_key_value_heads": 2}),
    "gpt2": (GPT2Config, {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}),
    "olmoe": (OlmoeConfig, {**WIDE, "intermediate_size": 24, "num_experts": 6, "num_experts_per_tok": 2}),
    "qwen3_moe": (
        Qwen3MoeConfig,
        {**WIDE, "head_dim": 8, "num_key_value_heads": 2, "moe_intermediate_size": 24, "intermediate_size": 48}
        | {"num_experts": 6, "num_experts_per_tok": 2},
    ),
    "mixtral": (MixtralConfig, {**WIDE, "intermediate_size": 24, "num_key_value_heads": 2, "num_local_experts": 6}),
    "gpt_oss": (
        GptOssConfig,
        {**WIDE, "head_dim": 8, "num_key_value_heads": 2, "intermediate_size": 24, "sliding_window": 8}
        | {"num_local_experts": 6, "num_experts_per_tok": 2},
    ),
}


def tiny_model(family: str, seed: int = 0, spread: float = 0.15, **changes: Any) -> PreTrainedModel:
    """A two-layer model of `family`; weights wide enough (`spread`) that losses differ from token to token."""
    kind, settings = CONFIGS[family]
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(kind(**{**SMALL, **settings, **changes}))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, spread)
            elif parameter.abs().sum() == 0:
                parameter.normal_(0, 0.02)
    use_plain_linears(model)
    use_own_experts(model)
    return model.eval()


def tiny_gemma3(seed: int = 0) -> PreTrainedModel:
    """A model whose configuration has a part for text and one for images, with as many blocks in either."""
    torch.manual_seed(seed)
    blocks = {"num_hidden_layers": 2, "num_attention_heads": 2}
    text = {**blocks, "vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 48, "num_key_value_heads": 1}
    text |= {"head_dim": 16, "max_position_embeddings": 64, "sliding_window": 16}
    vision = {**blocks, "hidden_size": 16, "intermediate_size": 16, "image_size": 28, "patch_size": 14}
    config = Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=4)
    return AutoModelForCausalLM.from_config(config).eval()


def tiny_tokenizer(texts: list[str], vocabulary: int = VOCABULARY) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer trained on `texts`; id 0 is the only special token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=vocabulary, special_tokens=["<|end|>"], initial_alphabet=alphabet)
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<|end|>", eos_token="<|end|>")


def save_tiny_model(folder: Path, texts: list[str], family: str = "gpt_neox", **changes: Any) -> Path:
    """A model folder as `save_pretrained` writes it; not for GPT-2, whose layers are replaced here."""
    tiny_model(family, **changes).save_pretrained(folder)
    tiny_tokenizer(texts).save_pretrained(folder)
    return folder
