"""From settings to something that completes prompts: model, tokenizer, decoding and backend, loaded and checked."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from transformers import AutoConfig, PreTrainedTokenizerFast

from ifcurate.errors import InputError
from ifcurate.evaluation.backends.vllm import VllmCompleter, check_placement
from ifcurate.evaluation.config import ToxicityConfig
from ifcurate.evaluation.generation import (
    Complete,
    Completer,
    EncodedPrompt,
    ProcessorFactory,
    SamplingSettings,
    encode_prompts,
)
from ifcurate.evaluation.prompts import PromptSet
from ifcurate.evaluation.reward_decoding import RewardAugmentation, RewardModel, load_reward_model
from ifcurate.evaluation.sampling import prompt_keys
from ifcurate.model.checkpoints import (
    CONTEXT_CAP,
    check_vocabulary,
    context_length,
    embedding_rows,
    load_causal_lm,
    load_tokenizer,
    positions_of,
)
from ifcurate.model.devices import resolve_dtype
from ifcurate.model.hashes import hash_model, hash_tokenizer
from ifcurate.model.stored_hash import hash_stored

CPU_BATCH_PROMPTS, GPU_BATCH_PROMPTS, VLLM_BATCH_PROMPTS = 16, 64, 512
"""Prompts completed together, where nobody says how many."""


@dataclass(frozen=True)
class CompletionEngine:
    """What completes prompts.

    Attributes:
        complete: completes a batch.
        tokenizer: the model's.
        room: tokens that a prompt may have.
        prompts_per_batch: size of a batch.
        provenance: everything that the completions depend on but the prompts.
        embeddings: token ids that the model knows, where we load it ourselves.
    """

    complete: Complete
    tokenizer: PreTrainedTokenizerFast
    room: int
    prompts_per_batch: int
    provenance: dict[str, Any]
    embeddings: int | None = None

    def encode(self, prompts: PromptSet, config: ToxicityConfig) -> list[EncodedPrompt]:
        """Token ids and random keys of `prompts`."""
        texts = [prompt.text for prompt in prompts.prompts]
        keys = prompt_keys(texts, config.seed)
        return encode_prompts(self.tokenizer, texts, keys, self.room, config.start_token, self.embeddings)


def load_engine(config: ToxicityConfig, place: str, device: str) -> CompletionEngine:
    """The model at `place` (a folder or Hub id), ready to complete prompts as `config` says.

    Raises:
        InputError: something cannot be loaded, or does not fit together.
    """
    settings = SamplingSettings(
        config.completions, config.max_new_tokens, config.temperature, config.top_p, config.seed, config.min_new_tokens
    )
    tokenizer = load_tokenizer(place, config.revision, config.trust)
    provenance = {
        "tokenizer": hash_tokenizer(tokenizer),
        "completions": config.completions,
        "max_new_tokens": config.max_new_tokens,
        "min_new_tokens": config.min_new_tokens,
        "temperature": config.temperature,
        "top_p": config.top_p,
        "seed": config.seed,
        "start_token": config.start_token,
        "backend": config.backend,
        "decoding": config.decoding,
        "device": device.partition(":")[0],
    }
    if config.backend == "vllm":
        return _vllm_engine(config, place, tokenizer, settings, provenance)
    dtype = resolve_dtype(config.dtype, device)
    model = load_causal_lm(place, config.revision, dtype, device, config.trust)
    check_vocabulary(tokenizer, model)
    provenance |= {"model": hash_model(model), "dtype": str(dtype).removeprefix("torch.")}
    processor, decoding = _decoding(config, tokenizer, device)
    return CompletionEngine(
        Completer(model, tokenizer, settings, processor).complete,
        tokenizer,
        context_length(model, None) - config.max_new_tokens,
        config.batch_prompts or (GPU_BATCH_PROMPTS if device.startswith("cuda") else CPU_BATCH_PROMPTS),
        provenance | decoding,
        embedding_rows(model),
    )


def _decoding(
    config: ToxicityConfig, tokenizer: PreTrainedTokenizerFast, device: str
) -> tuple[ProcessorFactory | None, dict[str, Any]]:
    """What changes the logits, and what the completions then depend on."""
    if config.decoding == "plain":
        if config.reward_model is not None:
            raise InputError("option --reward-model: is for reward-augmented decoding; add --decoding rad.")
        return None, {}
    if config.reward_model is None:
        raise InputError("option --decoding: rad needs a reward model; name one with --reward-model.")
    reward: RewardModel = load_reward_model(
        config.reward_model, tokenizer, config.rad_label, config.rad_invert, device, config.trust
    )
    provenance = {
        "reward_model": reward.identity,
        "rad_output": reward.output,
        "rad_invert": reward.inverted,
        "rad_beta": config.rad_beta,
        "rad_k": config.rad_k,
    }
    return partial(RewardAugmentation, reward, beta=config.rad_beta, k=config.rad_k), provenance


def _vllm_engine(
    config: ToxicityConfig,
    place: str,
    tokenizer: PreTrainedTokenizerFast,
    settings: SamplingSettings,
    provenance: dict[str, Any],
) -> CompletionEngine:
    if config.decoding != "plain":
        raise InputError("option --backend: vllm cannot do reward-augmented decoding; use --backend transformers.")
    check_placement(config.device, config.dtype)
    completer = VllmCompleter(place, config.revision, config.dtype, settings, config.trust)
    described = AutoConfig.from_pretrained(place, revision=config.revision, **config.trust.of_code())
    context = positions_of(described) or CONTEXT_CAP
    return CompletionEngine(
        completer.complete,
        tokenizer,
        context - config.max_new_tokens,
        config.batch_prompts or VLLM_BATCH_PROMPTS,
        provenance | {"model": hash_stored(place, config.revision, config.trust), "dtype": config.dtype},
    )
