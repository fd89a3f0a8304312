"""Completions by transformers, in this process: how many share a batch changes nothing, and decoding may be steered."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from ifcurate.errors import InputError
from ifcurate.evaluation.activations import load_activations
from ifcurate.evaluation.backends.engine import Asked, CompletionEngine
from ifcurate.evaluation.config import ToxicityConfig
from ifcurate.evaluation.generation import Completer, ProcessorFactory
from ifcurate.evaluation.reward_decoding import RewardAugmentation, RewardModel, load_reward_model
from ifcurate.evaluation.steering import steer
from ifcurate.model.checkpoints import check_vocabulary, context_length, embedding_rows, load_causal_lm
from ifcurate.model.control_tokens import ControlTokens
from ifcurate.model.devices import resolve_dtype
from ifcurate.model.hashes import hash_model

CPU_BATCH_PROMPTS, GPU_BATCH_PROMPTS = 16, 64
"""Prompts completed together, where nobody says how many."""


def load(asked: Asked, provenance: dict[str, Any]) -> CompletionEngine:
    """The model on its device, and what steers its decoding.

    Raises:
        InputError: something cannot be loaded, or does not fit together.
    """
    config, tokenizer, device = asked.config, asked.tokenizer, asked.device
    dtype = resolve_dtype(config.dtype, device)
    model = load_causal_lm(asked.place, config.revision, dtype, device, config.trust)
    check_vocabulary(tokenizer, model)
    provenance |= {"model": hash_model(model), "dtype": str(dtype).removeprefix("torch.")}
    control = ControlTokens.said_by(model.generation_config)
    if control.prefix and config.decoding == "rad":
        raise InputError(
            f"option --decoding: {asked.place} is read behind a control token, which no reward model knows; leave the "
            "option out."
        )
    processor, decoding = _decoding(config, model, tokenizer, device)
    return CompletionEngine(
        Completer(model, tokenizer, asked.sampling, processor).complete,
        tokenizer,
        context_length(model, None) - config.max_new_tokens,
        config.batch_prompts or (GPU_BATCH_PROMPTS if device.startswith("cuda") else CPU_BATCH_PROMPTS),
        provenance | decoding | control.provenance(),
        embedding_rows(model),
        control,
    )


def _decoding(
    config: ToxicityConfig, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, device: str
) -> tuple[ProcessorFactory | None, dict[str, Any]]:
    """What changes the logits, if anything does, and what the completions then depend on; may steer `model`."""
    _refuse_idle(config)
    if config.decoding == "plain":
        return None, {}
    if config.decoding == "steer":
        return None, _steer(config, model)
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


def _refuse_idle(config: ToxicityConfig) -> None:
    """Refuse what the chosen decoding would leave without effect."""
    if config.reward_model is not None and config.decoding != "rad":
        raise InputError("option --reward-model: is for reward-augmented decoding; add --decoding rad.")
    if config.steer_by is not None and config.decoding != "steer":
        raise InputError("option --steer-by: changes hidden states; add --decoding steer.")


def _steer(config: ToxicityConfig, model: PreTrainedModel) -> dict[str, Any]:
    """Steer `model` for good; what its completions then depend on."""
    if config.steer_by is None:
        raise InputError("option --decoding: steer needs activations; name their file with --steer-by.")
    activations = load_activations(Path(config.steer_by))
    block = activations.clearest if config.steer_block is None else config.steer_block
    steer(model, activations, block, config.steer_strength)
    weights = activations.facts.weights_hash
    return {"steer_by": weights, "steer_block": block, "steer_strength": config.steer_strength}
