"""Whether a model can be scored at all: tried on a few tokens, before anything is made.

Architectures differ in ways that no list of theirs tells. So the model reads two short windows: what it says of a
token must not depend on later ones, every tracked layer must be run once and have a gradient, and forward mode must
agree with backward mode.
"""

from __future__ import annotations

import numpy as np
import torch
from transformers import PreTrainedModel

from ifcurate.errors import InputError, first_line
from ifcurate.influence.curvature.sampled_labels import COVARIANCE_PASS, random_numbers
from ifcurate.influence.curvature.signals import Signals
from ifcurate.influence.direction import Direction
from ifcurate.influence.engines.forward_mode import ForwardMode
from ifcurate.model.checkpoints import embedding_rows
from ifcurate.model.devices import is_out_of_memory
from ifcurate.model.layers import Coverage, coverage, decoder_blocks, name_of, tracked_parameters
from ifcurate.model.token_loss import split, token_losses
from ifcurate.model.windows import Window, WindowBatch, collate

LENGTHS = (9, 6)
"""Tokens of the windows that are read."""
MODES_MAY_DIFFER = {torch.float64: 1e-5, torch.float32: 1e-2}
"""Relative difference of the derivatives in forward and in backward mode, by dtype."""
LATER_TOKENS_MAY_CHANGE = {torch.float64: 1e-9, torch.float32: 1e-4}
"""Relative difference of features when later tokens are others: what rounding may do."""


def require_scorable(model: PreTrainedModel) -> Coverage:
    """How much of `model`, which is in evaluation mode, is tracked, once it is known that it can be scored.

    Raises:
        InputError: it cannot, and why.
    """
    covered = coverage(model)
    try:
        _probe(model)
    except InputError:
        raise
    except Exception as error:  # an architecture may fail in any way
        if isinstance(error, RuntimeError) and is_out_of_memory(error):
            raise
        raise InputError(f"{name_of(model)}: cannot be scored ({first_line(error)}); give another model.") from error
    finally:
        model.requires_grad_(False)
    return covered


def _probe(model: PreTrainedModel) -> None:
    _require_own_weights(model)
    rows = embedding_rows(model)
    generator = torch.Generator().manual_seed(0)
    drawn = [torch.randint(rows, (length,), generator=generator).numpy() for length in LENGTHS]
    windows = [Window(number, 0, ids.astype(np.int32)) for number, ids in enumerate(drawn)]
    batch = collate(windows, 0).to(str(model.device))
    _require_causality(model, batch)
    _require_forward_mode(model, batch)
    numbers = random_numbers(windows, 0, COVARIANCE_PASS).to(str(model.device))
    Signals(model).run(batch, numbers, lambda layer, inputs, gradients, lengths: None)


def _require_own_weights(model: PreTrainedModel) -> None:
    """Blocks that share weights are moved together, which forward mode and curvature do not know."""
    first: dict[int, str] = {}
    prefix, blocks = decoder_blocks(model)
    for name, parameter in blocks.named_parameters(prefix=prefix, remove_duplicate=False):
        other = first.setdefault(id(parameter), name)
        if other != name:
            raise InputError(
                f"{name_of(model)}: its blocks share weights, {other} for one; give a model whose blocks "
                "have weights of their own."
            )


@torch.no_grad()
def _require_causality(model: PreTrainedModel, batch: WindowBatch) -> None:
    try:
        body, _ = split(model)
        before = body(batch.input_ids)[:, :-1]
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{name_of(model)}: does not read text by itself ({first_line(error)}); give a model that needs token ids "
            "alone."
        ) from error
    _require_finite(before)
    if not before.any():  # what a norm makes of infinity
        raise InputError(
            "option --model: its features are all zero, as of far too large weights; give a sound checkpoint."
        )
    changed = batch.input_ids.clone()
    changed[:, -1] = (changed[:, -1] + 1) % embedding_rows(model)
    difference = float((body(changed)[:, :-1] - before).norm() / before.norm())
    if not difference <= LATER_TOKENS_MAY_CHANGE.get(before.dtype, 1e-2):
        raise InputError(
            f"{name_of(model)}: what it says of a token depends on later ones, so it is no causal language model; "
            "give a decoder-only model."
        )


def _require_forward_mode(model: PreTrainedModel, batch: WindowBatch) -> None:
    """Along the gradient itself, so that nothing cancels."""
    parameters = tracked_parameters(model)
    model.requires_grad_(False)
    for parameter in parameters.values():
        parameter.requires_grad_(True)
    body, head = split(model)
    with torch.enable_grad():
        losses = token_losses(head, body(batch.input_ids)[batch.mask], batch.labels[batch.mask])
        if not losses.requires_grad:
            raise InputError(
                f"{name_of(model)}: its code hides the weights of its blocks from autograd; give a model of another "
                "architecture."
            )
        found = torch.autograd.grad(losses.sum(), list(parameters.values()), allow_unused=True)
    model.requires_grad_(False)
    _require_finite(losses)
    gradient: dict[str, torch.Tensor] = {}
    for name, tensor in zip(parameters, found, strict=True):
        if tensor is None:
            raise InputError(
                f"{name_of(model)}: {name} has no part in reading text; give a model of a text decoder alone."
            )
        _require_finite(tensor)
        gradient[name] = tensor
    square = float(sum(tensor.double().square().sum() for tensor in gradient.values()))
    along = float(ForwardMode(model, [Direction(gradient, {})]).score(batch).influence.double().sum())
    if not abs(along - square) <= MODES_MAY_DIFFER.get(losses.dtype, 1e-2) * square:
        raise InputError(
            f"{name_of(model)}: forward and backward mode disagree ({along:.6g} and {square:.6g}), so that its scores "
            "would be wrong; give a model of another architecture."
        )


def _require_finite(numbers: torch.Tensor) -> None:
    if not numbers.isfinite().all():
        raise InputError(
            "option --model: its outputs or gradients are NaN or infinite on a few tokens; give a sound checkpoint."
        )
