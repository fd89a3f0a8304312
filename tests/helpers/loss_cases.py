"""Random logits, labels and masks, and what a marked token adds to the loss, written from its probability."""

from __future__ import annotations

from collections.abc import Callable

import torch

from ifcurate.training.penalty import IGNORED

BATCH, LENGTH, VOCABULARY = 3, 7, 11


def case(seed: int = 0, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(BATCH, LENGTH, VOCABULARY, generator=generator).mul(3).to(dtype).requires_grad_()
    labels = torch.randint(0, VOCABULARY, (BATCH, LENGTH), generator=generator)
    labels[torch.rand(BATCH, LENGTH, generator=generator) < 0.2] = IGNORED
    mask = torch.rand(BATCH, LENGTH, generator=generator) < 0.3
    return logits, labels, mask


def gradient(loss: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    return torch.autograd.grad(loss, logits)[0]


CLOSED: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "ascent": lambda p, reference: torch.log(p),
    "unlikelihood": lambda p, reference: -torch.log(1 - p),
    "clamped": lambda p, reference: -torch.minimum(-torch.log(p), torch.tensor(1.5, dtype=p.dtype)),
    "npo": lambda p, reference: 2 / 0.3 * torch.log(1 + (p / torch.exp(-reference)) ** 0.3),
}
"""What lambda multiplies, written from the token's probability and its loss under the reference model."""
