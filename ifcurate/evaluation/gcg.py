"""Greedy coordinate gradient (GCG, Zou et al. 2023): a suffix that makes a model continue a prompt as it should not.

At every step the gradient of the target's loss says which tokens might help at each place of the suffix; some of these
exchanges are drawn, one place each, and the one with the lowest loss is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from ifcurate.errors import InputError
from ifcurate.model.checkpoints import start_token
from ifcurate.model.token_loss import split, token_losses

FILLER = " x"
"""What a suffix begins with, as far as the tokenizer has it as one token."""


@dataclass(frozen=True)
class AttackSettings:
    """How a suffix is looked for.

    Attributes:
        steps: exchanges.
        width: exchanges that are tried at each step.
        candidates: tokens with the most promising gradient at a place, of which one is drawn.
        suffix_tokens: length of the suffix.
        batch_tokens: positions a forward pass.
    """

    steps: int = 50
    width: int = 64
    candidates: int = 256
    suffix_tokens: int = 20
    batch_tokens: int = 4096


@dataclass(frozen=True)
class Suffix:
    """What was found.

    Attributes:
        token_ids: of the suffix.
        losses: mean loss of the target's tokens, in nats, before the first step and after each.
    """

    token_ids: list[int]
    losses: list[float]


class Gcg:
    """Looks for suffixes against one model."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, settings: AttackSettings) -> None:
        model.requires_grad_(False)
        self._model, self._tokenizer, self._settings = model, tokenizer, settings
        self._start = start_token(tokenizer)
        self._body, self._head = split(model)
        self._embedding = model.get_input_embeddings().weight
        self._allowed = _plain_tokens(tokenizer, len(self._embedding))

    def attack(self, prompt: Sequence[int], target: Sequence[int], key: int) -> Suffix:
        """The suffix that lets `target` follow `prompt` and itself best; the same key gives the same.

        Token ids are without the start token, which is read first.

        Raises:
            InputError: the model emits NaN, or no suffix can be typed.
        """
        generator = np.random.Generator(np.random.Philox(key=key))
        suffix = self._first(prompt)
        losses = self._losses(prompt, suffix[None], target)
        history = [float(losses[0])]
        for _ in range(self._settings.steps):
            tried = self._exchanged(suffix, self._slopes(prompt, suffix, target), generator)
            tried = self._that_survive(prompt, tried)
            losses = self._losses(prompt, np.concatenate([suffix[None], tried]), target)
            best = int(np.argmin(losses))
            suffix = suffix if best == 0 else tried[best - 1]
            history.append(float(losses[best]))
        return Suffix(suffix.tolist(), history)

    def _first(self, prompt: Sequence[int]) -> NDArray[np.int64]:
        """The suffix that the search begins with: one token again and again, which the tokenizer does not join."""
        filler = self._tokenizer(FILLER, add_special_tokens=False)["input_ids"]
        for token in [*filler, *self._allowed.tolist()]:
            repeated = np.full((1, self._settings.suffix_tokens), token)
            if token in self._allowed and len(self._that_survive(prompt, repeated)):
                return np.asarray(repeated[0])
        raise InputError(
            f"{self._tokenizer.name_or_path}: joins every token with its like, so that no suffix can begin; give fewer "
            "--suffix-tokens."
        )

    def _exchanged(
        self, suffix: NDArray[np.int64], slopes: torch.Tensor, generator: np.random.Generator
    ) -> NDArray[np.int64]:
        """int64 [width, suffix]: the suffix with one token exchanged for one that its slope recommends."""
        count = min(self._settings.candidates, len(self._allowed))
        recommended = self._allowed[(-slopes).topk(count).indices.cpu().numpy()]
        rows = np.arange(self._settings.width)
        places = rows * len(suffix) // len(rows)
        tried = np.repeat(suffix[None], len(rows), 0)
        tried[rows, places] = recommended[places, generator.integers(count, size=len(rows))]
        return tried

    def _that_survive(self, prompt: Sequence[int], tried: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those whose text, behind the prompt's, is tokenized to the same again: no other could be typed."""
        texts = self._tokenizer.batch_decode([[*prompt, *row] for row in tried.tolist()])
        again = self._tokenizer(texts, add_special_tokens=False)["input_ids"]
        return tried[[ids == [*prompt, *row] for ids, row in zip(again, tried.tolist(), strict=True)]]

    def _slopes(self, prompt: Sequence[int], suffix: NDArray[np.int64], target: Sequence[int]) -> torch.Tensor:
        """float [suffix, allowed tokens]: how each token at each place changes the target's loss, to first order."""
        seen: list[torch.Tensor] = []

        def keep(module: torch.nn.Module, inputs: object, output: torch.Tensor) -> torch.Tensor:
            seen.append(output.detach().requires_grad_())
            return seen[0]

        hook = self._model.get_input_embeddings().register_forward_hook(keep)
        try:
            with torch.enable_grad():
                loss = self._target_losses(self._rows(prompt, suffix[None], target), target).sum()
                (gradient,) = torch.autograd.grad(loss, seen)
        finally:
            hook.remove()
        places = gradient[0, 1 + len(prompt) : 1 + len(prompt) + len(suffix)]
        return places @ self._embedding[torch.as_tensor(self._allowed, device=places.device)].T

    @torch.inference_mode()
    def _losses(self, prompt: Sequence[int], suffixes: NDArray[np.int64], target: Sequence[int]) -> NDArray[np.float64]:
        """float64 [suffixes]: mean loss of the target's tokens."""
        rows = self._rows(prompt, suffixes, target)
        size = max(1, self._settings.batch_tokens // rows.shape[1])
        found = torch.cat([self._target_losses(part, target) for part in rows.split(size)]).double().cpu().numpy()
        if not np.isfinite(found).all():
            raise InputError(f"{self._model.name_or_path}: the model emits NaN or Inf; check its weights.")
        return np.asarray(found)

    def _rows(self, prompt: Sequence[int], suffixes: NDArray[np.int64], target: Sequence[int]) -> torch.Tensor:
        rows = [[self._start, *prompt, *suffix, *target[:-1]] for suffix in suffixes.tolist()]
        return torch.tensor(rows, device=self._model.device)

    def _target_losses(self, rows: torch.Tensor, target: Sequence[int]) -> torch.Tensor:
        """float [rows]: mean loss of the target's tokens."""
        features = self._body(rows)[:, -len(target) :]
        labels = torch.tensor(target, device=rows.device).repeat(len(rows))
        losses = token_losses(self._head, features.reshape(-1, features.shape[-1]), labels)
        return losses.reshape(len(rows), -1).mean(1)


def _plain_tokens(tokenizer: PreTrainedTokenizerFast, embeddings: int) -> NDArray[np.int64]:
    """Tokens that can be typed: of printable ASCII, and none that has a special meaning."""
    special = set(tokenizer.all_special_ids)
    ids = [token for token in range(min(len(tokenizer), embeddings)) if token not in special]
    texts = tokenizer.batch_decode([[token] for token in ids])
    plain = [token for token, text in zip(ids, texts, strict=True) if text and text.isascii() and text.isprintable()]
    if not plain:
        raise InputError(f"{tokenizer.name_or_path}: has no token of printable ASCII that a suffix could be made of.")
    return np.array(plain, np.int64)
