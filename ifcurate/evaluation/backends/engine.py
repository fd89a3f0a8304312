"""From settings to something that completes prompts: model, tokenizer, decoding and backend, loaded and checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from transformers import PreTrainedTokenizerFast

from ifcurate.evaluation.backends import BACKENDS
from ifcurate.evaluation.config import ToxicityConfig
from ifcurate.evaluation.generation import Complete, EncodedPrompt, SamplingSettings, encode_prompts
from ifcurate.evaluation.prompts import PromptSet
from ifcurate.evaluation.sampling import prompt_keys
from ifcurate.model.checkpoints import load_tokenizer
from ifcurate.model.control_tokens import NO_CONTROL, ControlTokens
from ifcurate.model.hashes import hash_tokenizer
from ifcurate.registry import load


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
        control: what the model is to read before a prompt, and never to draw.
    """

    complete: Complete
    tokenizer: PreTrainedTokenizerFast
    room: int
    prompts_per_batch: int
    provenance: dict[str, Any]
    embeddings: int | None = None
    control: ControlTokens = NO_CONTROL

    def encode(self, prompts: PromptSet, config: ToxicityConfig) -> list[EncodedPrompt]:
        """Token ids and random keys of `prompts`."""
        texts = [prompt.text for prompt in prompts.prompts]
        keys = prompt_keys(texts, config.seed)
        return encode_prompts(self.tokenizer, texts, keys, self.room, config.start_token, self.embeddings, self.control)


@dataclass(frozen=True)
class Asked:
    """What a backend is asked for: the model at `place`, a folder or Hub id, on `device`."""

    config: ToxicityConfig
    place: str
    device: str
    tokenizer: PreTrainedTokenizerFast
    sampling: SamplingSettings


class LoadBackend(Protocol):
    """A function that loads a model into a backend; entries of `BACKENDS` are such.

    `provenance` is what the completions depend on whatever generates them; it returns that and its own.
    """

    def __call__(self, asked: Asked, provenance: dict[str, Any]) -> CompletionEngine:
        """See above."""


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
    backend: LoadBackend = load(BACKENDS[config.backend])
    return backend(Asked(config, place, device, tokenizer, settings), provenance)
