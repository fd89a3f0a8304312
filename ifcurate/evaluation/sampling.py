"""Top-p sampling (Holtzman et al. 2020) without sorting, from random numbers that belong to each prompt."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray


class NotFiniteError(ValueError):
    """Logits that are no distribution."""


class PromptStreams:
    """One stream of uniform numbers for each prompt of a batch, seeded by the prompt and not by its place.

    Args:
        keys: one a prompt, from `prompt_keys`.
        completions: numbers drawn at once for a prompt.
    """

    def __init__(self, keys: Sequence[int], completions: int) -> None:
        self._streams = [np.random.Generator(np.random.Philox(key=key)) for key in keys]
        self._completions = completions

    def draw(self, wanted: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Numbers in (0, 1], float64 [prompts * completions], one a row of the batch.

        Only the streams of prompts with a row in `wanted`, bool [prompts * completions], advance; the rest reads 1.
        What a prompt gets next therefore does not depend on the prompts beside it.
        """
        numbers = np.ones((len(self._streams), self._completions))
        for index in np.flatnonzero(wanted.reshape(numbers.shape).any(1)):
            numbers[index] -= self._streams[index].random(self._completions)
        return numbers.reshape(-1)


def prompt_keys(texts: Sequence[str], seed: int) -> list[int]:
    """128-bit keys of prompts: of the seed, the text, and how often the text came before."""
    seen: Counter[str] = Counter()
    keys = []
    for text in texts:
        content = f"{seed}\x1f{seen[text]}\x1f{text}".encode("utf-8", "surrogatepass")
        keys.append(int.from_bytes(hashlib.sha256(content).digest()[:16], "little"))
        seen[text] += 1
    return keys


def sample_nucleus(logits: torch.Tensor, top_p: float, streams: PromptStreams) -> torch.Tensor:
    """One token a row of `logits` [rows, vocabulary], from the smallest set of likeliest tokens with mass `top_p`.

    By rejection: a token drawn from all of them is kept if the strictly likelier ones have mass below `top_p`. That is
    membership in the nucleus (tokens that tie at its edge all belong), tested without a sort, and at most 1 / top_p
    draws are needed on average.

    Returns:
        int64 [rows].

    Raises:
        NotFiniteError: a row holds NaN or +Inf.
    """
    probabilities = logits.softmax(-1, dtype=torch.promote_types(logits.dtype, torch.float32))
    cumulated = probabilities.cumsum(-1)
    total = cumulated[:, -1]
    if not torch.isfinite(total).all():
        raise NotFiniteError("NaN or Inf")
    tokens = torch.zeros(len(logits), dtype=torch.long, device=logits.device)
    pending = torch.arange(len(logits), device=logits.device)
    while len(pending):
        wanted = np.zeros(len(logits), dtype=np.bool_)
        wanted[pending.cpu().numpy()] = True
        uniform = torch.from_numpy(streams.draw(wanted)).to(cumulated)[pending]
        drawn = torch.searchsorted(cumulated[pending], (uniform * total[pending])[:, None])
        rows = probabilities[pending]
        likelier = torch.where(rows > rows.gather(1, drawn), rows, 0).sum(-1)
        kept = likelier < top_p
        tokens[pending[kept]] = drawn[kept, 0]
        pending = pending[~kept]
    return tokens
