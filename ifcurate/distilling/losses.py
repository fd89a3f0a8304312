"""What a student is trained by: regression on every token, and pairs with those that matter."""

from __future__ import annotations

import torch
from torch.nn import functional


def distillation_loss(said: torch.Tensor, targets: torch.Tensor, top: float) -> torch.Tensor:
    """Huber's loss of each token, and the logistic loss of every pair of one from `top` on with one below.

    Selection needs nothing but the order, at the top above all: a pair costs nothing once it is in order by some
    units, so what is left are the tokens around the threshold.

    Args:
        said: [tokens], of the head.
        targets: [tokens], standard normal.
        top: the target from which on tokens are to stand before all others.

    Returns:
        the sum of both means.
    """
    regression = functional.smooth_l1_loss(said, targets)
    high = targets >= top
    if not high.any() or high.all():
        return regression
    gaps = said[high][:, None] - said[~high][None]
    return regression + functional.softplus(-gaps).mean()
