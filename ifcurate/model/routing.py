"""Which experts tokens go to, held: a choice jumps when weights move, and then no difference is a derivative.

Every choice in transformers is a `topk`, of experts, of groups of them, or of the keys of sparse attention. What it
chose is kept on one pass and chosen again on others; what it has to say of the chosen (their scores) still moves.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

CHOICES = frozenset({torch.topk, torch.Tensor.topk})
Choices = list[torch.Tensor]
"""Indices that a pass chose, in the order of its choices."""


class Keeping(TorchFunctionMode):
    """Inside, choices are made and kept in `choices`."""

    def __init__(self) -> None:
        super().__init__()
        self.choices: Choices = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        if func in CHOICES:
            self.choices.append(found.indices)
        return found


class Holding(TorchFunctionMode):
    """Inside, the choices of another pass over the same tokens are made again."""

    def __init__(self, choices: Choices) -> None:
        super().__init__()
        self._choices: Iterator[torch.Tensor] = iter(choices)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func not in CHOICES:
            return func(*args, **(kwargs or {}))
        return _chosen_again(next(self._choices), *args, **(kwargs or {}))


def _chosen_again(indices: torch.Tensor, input: torch.Tensor, k: int, dim: int = -1, **order: bool) -> Any:
    return torch.return_types.topk((input.gather(dim, indices), indices))


@torch.no_grad()
def makes_choices(body: nn.Module, device: torch.device) -> bool:
    """Whether `body`, which takes token ids, makes choices: seen on a pass over two tokens."""
    with Keeping() as kept:
        body(torch.zeros(1, 2, dtype=torch.long, device=device))
    return bool(kept.choices)
