"""Reward-augmented decoding, RAD (Deng & Raffel, EMNLP 2023): a reward model steers which token comes next.

At every step the k likeliest tokens are candidates; the logit of each grows by beta times the reward of the text that
it would complete, and all other tokens are out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn
from transformers import DynamicCache, LogitsProcessor, PreTrainedModel, PreTrainedTokenizerFast

from ifcurate.errors import InputError
from ifcurate.evaluation.sequence_classifier import Activation, label_names, load_sequence_classifier, output_activation
from ifcurate.model.hashes import hash_model
from ifcurate.model.trust import NOBODY, Trust


@dataclass(frozen=True)
class RewardModel:
    """A causal sequence classifier read at every token.

    Attributes:
        model: a decoder with a linear head named `score` over its last hidden state, in evaluation mode.
        output: which output is the reward.
        activation: outputs to [0, 1].
        inverted: whether a high output is bad, as with a toxicity classifier: the reward is then 1 minus it.
        identity: hash of the weights.
    """

    model: PreTrainedModel
    output: int
    activation: Activation
    inverted: bool
    identity: str

    def rewards(self, hidden: torch.Tensor) -> torch.Tensor:
        """Rewards in [0, 1] of the texts that end at each position, from hidden states [..., width] to [...]."""
        head: nn.Module = self.model.score
        outputs = head(hidden)
        precise = torch.promote_types(outputs.dtype, torch.float32)
        reward = self.activation(outputs.to(precise))[..., self.output]
        return 1 - reward if self.inverted else reward


def load_reward_model(
    name_or_path: str,
    tokenizer: PreTrainedTokenizerFast,
    label: str | None = None,
    inverted: bool = True,
    device: str = "cpu",
    trust: Trust = NOBODY,
) -> RewardModel:
    """A causal sequence-classification model of transformers (GPT-2, GPT-NeoX, Llama, Qwen, ...).

    Args:
        name_or_path: a folder or Hub id.
        tokenizer: of the model that is steered; both have to use the same tokens.
        label: the output that is the reward; the first by default.
        inverted: see `RewardModel`.
        device: where it runs.
        trust: see `load_sequence_classifier`.

    Raises:
        InputError: it cannot be loaded, is not causal, has no such label, or uses other tokens.
    """
    model, its_tokenizer = load_sequence_classifier(name_or_path, trust)
    if not isinstance(getattr(model, "score", None), nn.Module):
        raise InputError(
            f"option --reward-model: {name_or_path} ({type(model).__name__}) does not read from left to right; "
            "give a decoder with a classification head."
        )
    if its_tokenizer.get_vocab() != tokenizer.get_vocab():
        raise InputError(
            f"option --reward-model: {name_or_path} uses other tokens than {tokenizer.name_or_path}; "
            "give a reward model with the same tokenizer."
        )
    labels = label_names(model)
    if label is not None and label not in labels:
        raise InputError(f"option --rad-label: {name_or_path} has no label {label!r}; it has {', '.join(labels)}.")
    output = 0 if label is None else labels.index(label)
    identity = hash_model(model)
    return RewardModel(model.eval().to(device), output, output_activation(model), inverted, identity)


class RewardAugmentation(LogitsProcessor):
    """Adds beta times the reward to the logits of the k likeliest tokens, and removes all others.

    For one batch of prompts, padded on the left, from its first generated token on. The reward model reads each token
    once: its KV cache is kept between steps, and all candidates of a step are read together, each seeing the text
    before it and itself.

    Args:
        reward: the reward model.
        prompt_mask: attention mask of the prompts, [rows, length].
        beta: weight of the reward, in logits.
        k: candidates at each step.
    """

    def __init__(self, reward: RewardModel, prompt_mask: torch.Tensor, beta: float, k: int) -> None:
        self._reward = reward
        self._mask = prompt_mask.bool()
        self._beta = beta
        self._k = k
        self._cache = DynamicCache(config=reward.model.config)
        self._seen = 0

    @torch.inference_mode()
    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Logits [rows, vocabulary] after the tokens `input_ids` [rows, length] to augmented logits."""
        logits, candidates = scores.topk(min(self._k, scores.shape[-1]), dim=-1)
        grown = self._mask.new_ones(len(input_ids), input_ids.shape[1] - self._mask.shape[1])
        self._mask = torch.cat([self._mask, grown], dim=1)
        rewards = self._read(input_ids[:, self._seen :], candidates)
        self._seen = input_ids.shape[1]
        augmented = logits + self._beta * rewards.to(logits)
        return torch.full_like(scores, -torch.inf).scatter(-1, candidates, augmented)

    def _read(self, tokens: torch.Tensor, candidates: torch.Tensor) -> torch.Tensor:
        """Rewards [rows, k] of the text so far with each candidate; `tokens` [rows, n] are its part not yet read."""
        k = candidates.shape[1]
        view = self._view(tokens.shape[1], k)
        hidden = self._reward.model.base_model(
            input_ids=torch.cat([tokens, candidates], dim=1),
            attention_mask=view.attention,
            position_ids=view.positions,
            past_key_values=self._cache,
            use_cache=True,
        ).last_hidden_state
        self._cache.crop(-k)
        return self._reward.rewards(hidden[:, -k:])

    def _view(self, new: int, k: int) -> View:
        """What the last `new` tokens of the text and its `k` candidates see, and where they stand."""
        rows, length = self._mask.shape
        device = self._mask.device
        text = torch.arange(length, device=device)
        causal = text[None, :] <= text[length - new :, None]
        of_text = torch.cat([causal, causal.new_zeros(new, k)], dim=1)
        of_candidates = torch.cat([causal.new_ones(k, length), torch.eye(k, dtype=torch.bool, device=device)], dim=1)
        real = torch.cat([self._mask, self._mask.new_ones(rows, k)], dim=1)
        visible = torch.cat([of_text, of_candidates])[None] & real[:, None, :]
        dtype = self._reward.model.dtype
        attention = torch.zeros(visible.shape, dtype=dtype, device=device).masked_fill(~visible, torch.finfo(dtype).min)
        counted = self._mask.cumsum(-1)
        ends = counted[:, -1:].expand(rows, k)
        positions = torch.cat([(counted[:, length - new :] - 1).clamp(min=0), ends], dim=1)
        return View(attention[:, None], positions)


class View(NamedTuple):
    """Additive attention mask [rows, 1, queries, keys], and positions [rows, queries]."""

    attention: torch.Tensor
    positions: torch.Tensor
