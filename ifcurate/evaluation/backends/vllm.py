"""Completions by vLLM, where it is installed: the same prompts and settings, another engine's random numbers."""

from __future__ import annotations

from collections.abc import Sequence

from ifcurate.errors import InputError
from ifcurate.evaluation.generation import Completion, EncodedPrompt, SamplingSettings

LONGEST_SEED = 1 << 31
"""vLLM takes 32-bit seeds."""


class VllmCompleter:
    """Draws completions with vLLM; each prompt has its own seed, so batches do not matter.

    Args:
        model: folder or Hub id.
        revision: of a Hub id.
        dtype: `auto`, `float32`, `bfloat16`.
        settings: how to draw.

    Raises:
        InputError: vLLM is not installed.
    """

    def __init__(self, model: str, revision: str | None, dtype: str, settings: SamplingSettings) -> None:
        try:
            from vllm import LLM, SamplingParams
        except ImportError as error:
            raise InputError(
                "option --backend: vllm is not installed; run `pip install vllm` on a machine it supports, "
                "or use --backend transformers."
            ) from error
        self._engine = LLM(model=model, revision=revision, dtype=dtype, seed=settings.seed)
        self._parameters = SamplingParams
        self._settings = settings

    def complete(self, prompts: Sequence[EncodedPrompt]) -> list[list[Completion]]:
        """The completions of each prompt, in order."""
        settings = self._settings
        parameters = [
            self._parameters(
                n=settings.completions,
                max_tokens=settings.max_new_tokens,
                temperature=settings.temperature,
                top_p=settings.top_p,
                seed=prompt.key % LONGEST_SEED,
            )
            for prompt in prompts
        ]
        inputs = [{"prompt_token_ids": prompt.token_ids} for prompt in prompts]
        answers = self._engine.generate(inputs, parameters, use_tqdm=False)
        # A completion that stopped by itself carries its end token.
        return [
            [Completion(one.text, len(one.token_ids) - (one.finish_reason == "stop")) for one in answer.outputs]
            for answer in answers
        ]
