"""Completions by vLLM, where it is installed: the same prompts and settings, another engine's random numbers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from transformers import AutoConfig

from ifcurate.errors import InputError
from ifcurate.evaluation.backends.engine import Asked, CompletionEngine
from ifcurate.evaluation.generation import Completion, EncodedPrompt, SamplingSettings
from ifcurate.model.checkpoints import CONTEXT_CAP, positions_of
from ifcurate.model.control_tokens import load_control_tokens
from ifcurate.model.stored_hash import hash_stored
from ifcurate.model.trust import NOBODY, Trust
from ifcurate.storage.fetched import at_hand

BATCH_PROMPTS = 512
"""Prompts handed over together, where nobody says how many."""
LONGEST_SEED = 1 << 31
LOWEST_BIAS = -100.0
"""Least that vLLM lets one add to a token's logit."""
"""vLLM takes 32-bit seeds."""


def load(asked: Asked, provenance: dict[str, Any]) -> CompletionEngine:
    """The model in vLLM, which places it itself.

    Raises:
        InputError: vLLM is not installed, or cannot do what is asked.
    """
    config = asked.config
    if config.decoding != "plain":
        raise InputError("option --backend: vllm decodes plainly; use --backend transformers.")
    check_placement(config.device, config.dtype)
    place = at_hand(asked.place)
    control = load_control_tokens(asked.place, config.revision, config.trust)
    completer = VllmCompleter(place, config.revision, config.dtype, asked.sampling, config.trust, control.banned)
    described = AutoConfig.from_pretrained(place, revision=config.revision, **config.trust.of_code())
    context = positions_of(described) or CONTEXT_CAP
    return CompletionEngine(
        completer.complete,
        asked.tokenizer,
        context - config.max_new_tokens,
        config.batch_prompts or BATCH_PROMPTS,
        provenance
        | {"model": hash_stored(asked.place, config.revision, config.trust), "dtype": config.dtype}
        | control.provenance(),
        control=control,
    )


class VllmCompleter:
    """Draws completions with vLLM; each prompt has its own seed, so batches do not matter.

    Args:
        model: folder or Hub id.
        revision: of a Hub id.
        dtype: `auto`, `float32`, `bfloat16`.
        settings: how to draw.
        trust: whether pickled weights and the model's own code are allowed.
        banned: ids of tokens that are never drawn.

    Raises:
        InputError: vLLM is not installed.
    """

    def __init__(
        self,
        model: str,
        revision: str | None,
        dtype: str,
        settings: SamplingSettings,
        trust: Trust = NOBODY,
        banned: Sequence[int] = (),
    ) -> None:
        try:
            from vllm import LLM, SamplingParams
        except ImportError as error:
            raise InputError(
                "option --backend: vllm is not installed; run `pip install vllm` on a machine it supports, "
                "or use --backend transformers."
            ) from error
        self._engine = LLM(
            model=model,
            revision=revision,
            dtype=dtype,
            seed=settings.seed,
            load_format="auto" if trust.allow_pickle else "safetensors",
            **trust.of_code(),
        )
        self._parameters = SamplingParams
        self._settings = settings
        self._banned = banned

    def complete(self, prompts: Sequence[EncodedPrompt]) -> list[list[Completion]]:
        """The completions of each prompt, in order."""
        parameters = [
            self._parameters(**sampling_parameters(self._settings, prompt.key, self._banned)) for prompt in prompts
        ]
        inputs = [{"prompt_token_ids": prompt.token_ids} for prompt in prompts]
        answers = self._engine.generate(inputs, parameters, use_tqdm=False)
        return [
            [Completion(one.text, own_tokens(one.token_ids, one.finish_reason)) for one in answer.outputs]
            for answer in answers
        ]


def sampling_parameters(settings: SamplingSettings, key: int, banned: Sequence[int] = ()) -> dict[str, Any]:
    """Arguments of vLLM's `SamplingParams` for a prompt with the random key `key`; `banned` tokens are not drawn."""
    return {
        **({"logit_bias": dict.fromkeys(banned, LOWEST_BIAS)} if banned else {}),
        "n": settings.completions,
        "max_tokens": settings.max_new_tokens,
        "min_tokens": settings.min_new_tokens,
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "seed": key % LONGEST_SEED,
    }


def own_tokens(token_ids: Sequence[int], finish_reason: str | None) -> int:
    """Tokens of a completion without its end token, which one that stopped by itself carries."""
    return len(token_ids) - (finish_reason == "stop")


def check_placement(device: str, dtype: str) -> None:
    """Refuse what vLLM decides by itself: it takes the machine's first GPU, in one process.

    Raises:
        InputError: another device is asked for, a dtype it does not have, or this is one of several processes.
    """
    if device not in ("auto", "cuda"):
        raise InputError(
            f"option --device: vllm does not compute on {device}, it takes the first GPU it sees; "
            "leave the option out, set CUDA_VISIBLE_DEVICES, or use --backend transformers."
        )
    if dtype == "float64":
        raise InputError("option --dtype: vllm has no float64; give another, or use --backend transformers.")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError(
            "option --backend: vllm runs in one process, each of a launch would take the same GPU; "
            "run it without torchrun or accelerate launch."
        )
