"""The penalised loss: Eq. 9 of IF-Guide, and a bounded form of it, computed a few rows at a time.

Every token j carries one weight c_j: 1 where the model should learn it, -lambda where a mask marks it, so that 0 leaves
it out. The loss is `(1/N) sum_j c_j l_j`, and N counts labels, marked or not: it is never the sum of the weights.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from ifcurate.errors import InputError
from ifcurate.training.forms import ASCENT, MarkedRows, Penalty

IGNORED = -100
"""Label of a position that is no label: padding, and the first token of a pack."""

CHUNK_ELEMENTS = {"cpu": 1 << 20}
"""Logits that are float32 at one time, rows x vocabulary, by device type: 4 MiB stay in a processor's cache."""

DEFAULT_CHUNK_ELEMENTS = 1 << 24
"""The same on accelerators (64 MiB), where few large kernels beat many small ones."""


class WeightedLoss(NamedTuple):
    """The loss to step on, and each label's own loss.

    Attributes:
        loss: float32 scalar (float64 for float64 logits).
        token_losses: same dtype, `[batch, length]`: `l_j` at the position of label j, 0 where there is no label.
            Has no gradient.
    """

    loss: Tensor
    token_losses: Tensor


def penalized_loss(
    logits: Tensor,
    labels: Tensor,
    mask: Tensor,
    penalty: float | Tensor = 1.0,
    form: str | Penalty = ASCENT,
    denominator: Tensor | float | None = None,
    reference: Tensor | None = None,
) -> Tensor:
    """Eq. 9 for one mask and one lambda, or one a token.

    Args:
        logits: `[batch, length, vocabulary]`, any floating dtype; row t predicts label t + 1, as in transformers.
        labels: int64 `[batch, length]`, aligned with the inputs, -100 where there is no label.
        mask: bool `[batch, length]`, aligned with `labels`: True on the tokens to push away from.
        penalty: lambda, at least 0 and finite; or one a token, float `[batch, length]`, aligned with `mask`, of which
            only those of marked tokens matter.
        form: one of `PENALTY_FORMS`, or a `Penalty` with its parameters; `ascent` is the paper's.
        denominator: N; by default the number of labels here. Under gradient accumulation or several processes pass
            the number of labels of the whole step.
        reference: float `[batch, length]`: the labels' losses under a reference model, for the forms that compare.

    Returns:
        float32 scalar.

    Raises:
        InputError: there is no such form, or lambda is negative, NaN or infinite.
    """
    lambdas = torch.as_tensor(penalty, device=mask.device)
    own = lambdas[mask] if lambdas.ndim else lambdas.reshape(1)
    wrong = own[~((own >= 0) & own.isfinite())]
    if len(wrong):
        raise InputError(f"a penalty of {float(wrong[0])} cannot be; give a finite lambda of at least 0.")
    weights = torch.where(mask, -lambdas.float(), 1.0)
    return weighted_loss(logits, labels, weights, form, denominator, reference).loss


def weighted_loss(
    logits: Tensor,
    labels: Tensor,
    weights: Tensor,
    form: str | Penalty = ASCENT,
    denominator: Tensor | float | None = None,
    reference: Tensor | None = None,
) -> WeightedLoss:
    """Eq. 9 for any weights: c_j where c_j > 0, and a penalty of lambda = -c_j where c_j <= 0.

    Args:
        logits: see `penalized_loss`; never copied to float32 as a whole.
        labels: see `penalized_loss`.
        weights: float `[batch, length]`, aligned with `labels`.
        form: see `penalized_loss`.
        denominator: see `penalized_loss`.
        reference: see `penalized_loss`.
    """
    penalty = form if isinstance(form, Penalty) else Penalty(form)
    targets = next_labels(labels).to(logits.device)
    token_weights = _ahead(weights).to(logits.device, torch.float32)
    for token in penalty.spared:
        token_weights = token_weights.masked_fill((targets == token) & (token_weights <= 0), 1.0)
    if denominator is None:
        denominator = targets.ne(IGNORED).sum().clamp(min=1)
    rows = logits.reshape(-1, logits.shape[-1])
    compared = None if reference is None else _ahead(reference).to(logits.device).reshape(-1)
    loss, losses = _Chunked.apply(  # type: ignore[no-untyped-call]
        rows, targets.reshape(-1), token_weights.reshape(-1), penalty, denominator, compared
    )
    return WeightedLoss(loss, functional.pad(losses.view(labels.shape), (1, 0))[..., :-1])


def next_labels(labels: Tensor) -> Tensor:
    """The label that each position predicts: `labels` shifted left by one, -100 at the end."""
    return functional.pad(labels, (0, 1), value=IGNORED)[..., 1:]


def _ahead(values: Tensor) -> Tensor:
    """`values` of the tokens at the positions that predict them: shifted left by one, 0 at the end."""
    return functional.pad(values, (0, 1), value=0.0)[..., 1:]


def count_labels(labels: Tensor) -> Tensor:
    """N of one batch: labels that some position predicts (the first of a row never is)."""
    return labels[..., 1:].ne(IGNORED).sum()


class _Chunked(torch.autograd.Function):
    """The summed loss, with the gradient of the logits made chunk by chunk in the forward pass.

    Peak memory is the logits, their gradient in the same dtype, and a few float32 chunks. Each row goes through the
    kernels of `cross_entropy`, so with weights of 1 the gradient has the bits of the standard loss.
    """

    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        targets: Tensor,
        weights: Tensor,
        penalty: Penalty,
        denominator: Tensor | float,
        reference: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        wants_gradient = ctx.needs_input_grad[0]
        gradient = torch.empty_like(logits) if wants_gradient else None
        precise = torch.promote_types(logits.dtype, torch.float32)
        total = torch.zeros((), dtype=precise, device=logits.device)
        token_losses = torch.empty(targets.shape, dtype=precise, device=logits.device)
        rows = max(1, CHUNK_ELEMENTS.get(logits.device.type, DEFAULT_CHUNK_ELEMENTS) // logits.shape[-1])
        for start in range(0, len(targets), rows):
            part = slice(start, start + rows)
            with torch.set_grad_enabled(wants_gradient):
                chunk = logits[part].detach().to(precise).requires_grad_(wants_gradient)
                losses = functional.cross_entropy(chunk, targets[part], ignore_index=IGNORED, reduction="none")
                compared = None if reference is None else reference[part]
                terms = _terms(losses, chunk, targets[part], weights[part], penalty, compared)
                loss = terms.sum() / denominator
            token_losses[part] = losses.detach()
            total += loss.detach()
            if gradient is not None:
                (gradient[part],) = torch.autograd.grad(loss, chunk)
        ctx.gradient = gradient
        ctx.mark_non_differentiable(token_losses)
        return total, token_losses

    @staticmethod
    def backward(ctx: Any, loss_gradient: Tensor, _: Tensor) -> tuple[Tensor, None, None, None, None, None]:  # type: ignore[override]
        gradient, ctx.gradient = ctx.gradient, None
        if gradient is None:
            raise RuntimeError("the gradient of this loss was used already; compute the loss again")
        return gradient.mul_(loss_gradient), None, None, None, None, None


def _terms(
    losses: Tensor, logits: Tensor, targets: Tensor, weights: Tensor, penalty: Penalty, reference: Tensor | None
) -> Tensor:
    """`c_j l_j` of each row, and `lambda_j` times the penalty's term for the marked ones."""
    marked = ((weights < 0) & targets.ne(IGNORED)).nonzero().squeeze(-1)
    rows = _marked_rows(losses, logits, targets, marked, penalty.spared, reference)
    return (losses * weights.clamp(min=0.0)).index_add(0, marked, -weights[marked] * penalty.terms(rows))


def _marked_rows(
    losses: Tensor,
    logits: Tensor,
    targets: Tensor,
    marked: Tensor,
    spared: tuple[int, ...],
    reference: Tensor | None,
) -> MarkedRows:
    compared = None if reference is None else reference[marked]
    own, own_targets = logits[marked], targets[marked]
    if not spared:
        return MarkedRows(losses[marked], own, own_targets, compared)
    own = own.index_fill(1, torch.tensor(spared, device=own.device), float("-inf"))
    own_losses = own.logsumexp(-1) - own.gather(1, own_targets.unsqueeze(-1)).squeeze(-1)
    return MarkedRows(own_losses, own, own_targets, compared)
