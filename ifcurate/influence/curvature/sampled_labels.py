"""Labels sampled from the model, which make the Fisher matrix the true one: the same ones however windows are batched.

Every window has random numbers of its own, one a token, and a token's label is where its number falls among the
model's cumulated probabilities.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ifcurate.errors import InputError
from ifcurate.model.token_loss import Head, rows_per_chunk
from ifcurate.model.windows import Window

COVARIANCE_PASS, EIGENVALUE_PASS = 0, 1
"""Either pass samples labels of its own."""


def random_numbers(windows: Sequence[Window], seed: int, number_of_pass: int) -> torch.Tensor:
    """float64 [windows, longest] in [0, 1), on a CPU: of seed, pass, document, and a window's place in it."""
    numbers = np.zeros((len(windows), max(len(window) for window in windows)))
    for row, window in enumerate(windows):
        generator = np.random.default_rng([seed, number_of_pass, window.document, window.first])
        numbers[row, : len(window)] = generator.random(len(window))
    return torch.from_numpy(numbers)


def sample_labels(logits: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
    """Labels drawn from the softmax of `logits`, by inverting its distribution function.

    Args:
        logits: [tokens, vocabulary].
        numbers: float64 [tokens] in [0, 1).

    Returns:
        int64 [tokens].

    Raises:
        InputError: a logit is NaN or infinite.
    """
    if not bool(logits.sum().isfinite()):
        raise InputError("option --model: its outputs are NaN or infinite on this text; give a sound checkpoint.")
    reached = logits.softmax(-1, dtype=torch.promote_types(logits.dtype, torch.float32)).cumsum(-1, dtype=torch.float64)
    wanted = numbers[:, None] * reached[:, -1:]
    return torch.searchsorted(reached, wanted, right=True)[:, 0].clamp_(max=logits.shape[-1] - 1)


def sampled_gradients(head: Head, features: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
    """Gradient of each sampled label's loss with respect to the features, [tokens, width]; some logits at a time.

    Args:
        head: features to logits.
        features: [tokens, width].
        numbers: float64 [tokens] in [0, 1), see `sample_labels`.
    """
    size = rows_per_chunk(head, features)
    return torch.cat(
        [_gradients(head, rows, drawn) for rows, drawn in zip(features.split(size), numbers.split(size), strict=True)]
    )


def _gradients(head: Head, rows: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
    logits, pull_back = torch.func.vjp(head, rows)[:2]
    labels = sample_labels(logits, numbers)[:, None]
    slopes = logits.softmax(-1, dtype=torch.promote_types(logits.dtype, torch.float32))
    slopes.scatter_add_(-1, labels, -torch.ones_like(labels, dtype=slopes.dtype))
    (gradients,) = pull_back(slopes.to(logits.dtype))
    return torch.as_tensor(gradients)
