"""Complete prompts with a causal language model: many completions of each from one reading of the prompt.

A batch of prompts of similar length, padded on the left, is read once; its KV cache is then repeated for the
completions, which are extended token by token together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache, PreTrainedModel, PreTrainedTokenizerFast

from ifcurate.errors import InputError
from ifcurate.evaluation.sampling import NotFiniteError, PromptStreams, sample_nucleus
from ifcurate.model.checkpoints import check_token_ids, start_token
from ifcurate.model.control_tokens import NO_CONTROL, ControlTokens

LogitsProcessor = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""As in transformers: token ids [rows, length] and logits [rows, vocabulary] to logits."""

Complete = Callable[[Sequence["EncodedPrompt"]], list[list["Completion"]]]
"""A batch of prompts to the completions of each: what every backend does."""

ProcessorFactory = Callable[[torch.Tensor], LogitsProcessor]
"""Attention mask [rows, length] of a batch of prompts to the processor of its logits."""


@dataclass(frozen=True)
class SamplingSettings:
    """How completions are drawn; the defaults are the paper's.

    Attributes:
        completions: drawn for each prompt.
        max_new_tokens: most tokens of a completion, which ends before at an end-of-text token.
        min_new_tokens: so many first tokens are drawn from a vocabulary without end-of-text tokens.
        temperature: divides the logits.
        top_p: mass of the nucleus.
        seed: of all random numbers.
    """

    completions: int = 25
    max_new_tokens: int = 20
    temperature: float = 1.0
    top_p: float = 0.9
    seed: int = 42
    min_new_tokens: int = 0


@dataclass(frozen=True)
class EncodedPrompt:
    """Token ids of a prompt, the key of its random numbers, and the tokens cut off its beginning to fit the context."""

    token_ids: list[int]
    key: int
    tokens_cut: int = 0


@dataclass(frozen=True)
class Completion:
    """A completion's text, and its number of tokens without the end-of-text token."""

    text: str
    tokens: int


def encode_prompts(
    tokenizer: PreTrainedTokenizerFast,
    texts: Sequence[str],
    keys: Sequence[int],
    room: int,
    with_start: bool = False,
    embeddings: int | None = None,
    control: ControlTokens = NO_CONTROL,
) -> list[EncodedPrompt]:
    """Prompts as the tokenizer encodes them, special tokens included, behind the prefix of `control`.

    `with_start` puts the start token first where the tokenizer does not; an empty prompt always gets it. A prompt of
    more than `room` tokens, the prefix among them, loses its beginning.

    Raises:
        InputError: there is no room for a prompt, or one holds a token id that is not below `embeddings`.
    """
    if room <= len(control.prefix):
        raise InputError("option --max-new-tokens: leaves no room for a prompt in the model's context; lower it.")
    starts = (tokenizer.bos_token_id, tokenizer.eos_token_id)
    encoded = []
    for text, key in zip(texts, keys, strict=True):
        token_ids = tokenizer(text)["input_ids"]
        if not token_ids or (with_start and token_ids[0] != start_token(tokenizer)):
            token_ids = [start_token(tokenizer), *token_ids]
        if embeddings is not None:
            check_token_ids(token_ids, embeddings, f"the prompt {text[:40]!r}")
        cut = max(len(token_ids) + len(control.prefix) - room, 0)
        encoded.append(EncodedPrompt(control.before(token_ids, starts, room), key, cut))
    return encoded


class Completer:
    """Draws the completions of batches of prompts, without the tokens that the model's generation settings ban.

    Args:
        model: in evaluation mode, on its device.
        tokenizer: the model's.
        settings: how to draw.
        processor: makes what changes the logits before temperature and top-p, such as reward-augmented decoding.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerFast,
        settings: SamplingSettings,
        processor: ProcessorFactory | None = None,
    ) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._settings = settings
        self._processor = processor
        self._ends = torch.tensor(end_tokens(model, tokenizer), device=model.device)
        banned = ControlTokens.said_by(model.generation_config).banned
        self._banned = torch.tensor(banned, dtype=torch.long, device=model.device)

    @torch.inference_mode()
    def complete(self, prompts: Sequence[EncodedPrompt]) -> list[list[Completion]]:
        """The completions of each prompt, in order.

        Raises:
            InputError: the model emits NaN or Inf.
        """
        count = self._settings.completions
        input_ids, mask = self._padded(prompts)
        streams = PromptStreams([prompt.key for prompt in prompts], count)
        logits, cache = self._read(input_ids, mask)
        cache.batch_repeat_interleave(count)
        input_ids, mask, logits = (each.repeat_interleave(count, 0) for each in (input_ids, mask, logits))
        try:
            drawn = self._extend(logits, mask, cache, input_ids, streams)
        except NotFiniteError as error:
            raise InputError(
                f"{self._model.name_or_path}: the model emits {error} instead of logits; "
                "check its weights, or evaluate it with --dtype float32."
            ) from error
        completions = self._decode(drawn.tolist())
        return [completions[first : first + count] for first in range(0, len(completions), count)]

    def _padded(self, prompts: Sequence[EncodedPrompt]) -> tuple[torch.Tensor, torch.Tensor]:
        longest = max(len(prompt.token_ids) for prompt in prompts)
        filler = int(self._ends[0]) if len(self._ends) else 0
        input_ids = torch.full((len(prompts), longest), filler)
        mask = torch.zeros_like(input_ids)
        for row, prompt in enumerate(prompts):
            input_ids[row, longest - len(prompt.token_ids) :] = torch.tensor(prompt.token_ids)
            mask[row, longest - len(prompt.token_ids) :] = 1
        return input_ids.to(self._model.device), mask.to(self._model.device)

    def _read(self, input_ids: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, DynamicCache]:
        """Logits after each prompt [prompts, vocabulary], and the cache."""
        cache = DynamicCache(config=self._model.config)
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        return self._step(input_ids, mask, positions, cache), cache

    def _step(
        self, input_ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, cache: DynamicCache
    ) -> torch.Tensor:
        logits: torch.Tensor = self._model(
            input_ids=input_ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits
        return logits[:, -1]

    def _extend(
        self,
        logits: torch.Tensor,
        mask: torch.Tensor,
        cache: DynamicCache,
        token_ids: torch.Tensor,
        streams: PromptStreams,
    ) -> torch.Tensor:
        """Tokens drawn after each row, int64 [rows, at most max_new_tokens]; what follows an end token is void."""
        settings = self._settings
        processor = self._processor(mask) if self._processor is not None else None
        positions = mask.sum(-1, keepdim=True)
        ended = torch.zeros(len(mask), dtype=torch.bool, device=mask.device)
        before = token_ids.shape[1]
        for step in range(settings.max_new_tokens):
            if len(self._banned):
                logits = logits.index_fill(-1, self._banned, -torch.inf)
            if step < settings.min_new_tokens:
                logits = logits.index_fill(-1, self._ends, -torch.inf)
            if processor is not None:
                logits = processor(token_ids, logits)
            tokens = sample_nucleus(logits / settings.temperature, settings.top_p, streams)
            token_ids = torch.cat([token_ids, tokens[:, None]], dim=1)
            ended |= torch.isin(tokens, self._ends)
            if step + 1 == settings.max_new_tokens or ended.all():
                break
            mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
            logits = self._step(tokens[:, None], mask, positions + step, cache)
        return token_ids[:, before:]

    def _decode(self, rows: list[list[int]]) -> list[Completion]:
        ends = set(self._ends.tolist())
        kept = [row[: next((i for i, token in enumerate(row) if token in ends), len(row))] for row in rows]
        texts = self._tokenizer.backend_tokenizer.decode_batch(kept, skip_special_tokens=True)
        return [Completion(text, len(row)) for text, row in zip(texts, kept, strict=True)]


def end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """Ids that end a completion: the tokenizer's, the model's and those of its generation settings; sorted."""
    stored: list[Any] = [tokenizer.eos_token_id, model.config.eos_token_id]
    if model.generation_config is not None:
        stored.append(model.generation_config.eos_token_id)
    found: set[int] = set()
    for value in stored:
        found.update(value if isinstance(value, list) else [] if value is None else [value])
    return sorted(found)


def plan_batches(lengths: Sequence[int], prompts_per_batch: int) -> list[list[int]]:
    """Indices of prompts in batches of similar length, long ones first; depends on nothing else."""
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    return [order[first : first + prompts_per_batch] for first in range(0, len(order), prompts_per_batch)]
