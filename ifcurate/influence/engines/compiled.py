"""Forward mode compiled for batches of one shape: the fastest exact engine on a GPU.

What eager forward mode leaves to many small kernels (rotary positions, norms, activations and the softmax, each with
its derivative) is fused by TorchInductor, and so is the softmax over the vocabulary. Compiling takes minutes and is
done for each shape, so batches come from `batching.PackedRows`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from typing import Any

import torch
from torch._dynamo.exc import TorchDynamoException
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._triton import has_triton
from transformers import PreTrainedModel

from ifcurate.errors import InputError
from ifcurate.influence.direction import Direction
from ifcurate.influence.engines.attention import attention_in_blocks
from ifcurate.influence.engines.forward_mode import ForwardMode
from ifcurate.model.devices import is_out_of_memory
from ifcurate.model.routing import makes_choices
from ifcurate.model.token_loss import TokenScores, split, token_loss_derivatives
from ifcurate.model.windows import WindowBatch

SEPARATION = 1e-4
"""Largest relative difference of windows' features in another order of their row: float32's rounding, and no more."""
COMPILERS = {"cpu": ("CXX", "g++", "clang++"), "cuda": ("CC", "gcc", "clang")}
"""What TorchInductor, or Triton beneath it, calls by type of device: that of the variable, or one of these names."""


class CompiledForwardMode(ForwardMode):
    """`ForwardMode` through `torch.compile`: one graph a shape, or an error; nothing falls back to eager unseen."""

    def __init__(self, model: PreTrainedModel, directions: Sequence[Direction], backend: str = "inductor") -> None:
        """`backend` is a compiler of `torch.compile`; `find_obstacle` says whether it, and packed rows, can work."""
        super().__init__(model, directions)
        self._compiled = torch.compile(self._everywhere, dynamic=False, fullgraph=True, backend=backend)

    @torch.no_grad()
    def score(self, batch: WindowBatch) -> TokenScores:
        """Scores of the label tokens of `batch`; compiles first where its shape is new.

        Raises:
            InputError: there is no compiler here, or the model cannot be compiled.
        """
        try:
            with attention_in_blocks(self._model):
                losses, slopes = self._compiled(batch.input_ids, batch.positions, batch.labels)
        except TorchDynamoException as error:
            cause = getattr(error, "inner_exception", error)
            if is_out_of_memory(cause):  # the compiler tries kernels out
                raise cause from None
            reason = next(iter(str(cause).splitlines()), type(cause).__name__)
            raise refusal(f"the model cannot be compiled ({reason})") from error
        mask = batch.mask.flatten()
        return TokenScores(slopes[:, mask], losses[mask])

    def _everywhere(
        self, input_ids: torch.Tensor, positions: torch.Tensor | None, labels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Losses [batch * length] and derivatives [directions, batch * length], those of padding without meaning."""
        with _LayerNormInParts():
            values, derivatives = self._features(input_ids, positions)
        wanted = labels.flatten().clamp_min(0)
        return token_loss_derivatives(self._head, values.flatten(0, 1), derivatives.flatten(1, 2), wanted)


class _LayerNormInParts(TorchFunctionMode):
    """Layer norm as normalisation, then scale and shift: torch.compile cannot trace the derivative of all in one."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return (_layer_norm if func is functional.layer_norm else func)(*args, **(kwargs or {}))


def _layer_norm(
    values: torch.Tensor,
    shape: list[int],
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    eps: float = 1e-5,
) -> torch.Tensor:
    result = functional.layer_norm(values, shape, eps=eps)
    result = result if weight is None else result * weight
    return result if bias is None else result + bias


def refusal(obstacle: str) -> InputError:
    """What to tell whoever asked for this engine."""
    return InputError(f"option --engine: compiled-jvp cannot be used here: {obstacle}; use --engine jvp.")


def find_obstacle(model: PreTrainedModel, device: str) -> str | None:
    """Why `model`, which is in float32, cannot be scored by this engine on `device`; None where nothing is known."""
    return missing_compiler(device) or _choices(model) or _mixing_of_windows(model)


def missing_compiler(device: str) -> str | None:
    """What torch.compile needs on `device` and does not find."""
    kind = device.partition(":")[0]
    variable, *names = COMPILERS.get(kind, COMPILERS["cpu"])
    if kind == "cuda" and not has_triton():
        return "Triton is missing, or does not support this GPU"
    if not any(shutil.which(name) for name in (os.environ.get(variable), *names) if name):
        return f"there is no compiler ({' or '.join(names)})"
    return None


def _choices(model: PreTrainedModel) -> str | None:
    body, _ = split(model)
    if makes_choices(body, model.device):
        return f"{type(body.inner).__name__} chooses by what it reads (experts or keys), which is no one graph"
    return None


@torch.no_grad()
def _mixing_of_windows(model: PreTrainedModel) -> str | None:
    """Compare two windows in one row with the same windows in the other order: they must leave no trace in each other.

    They do where the architecture takes no notice of `positions`.
    """
    body, _ = split(model)
    ids = torch.tensor([[0, 1, 2, 3], [2, 3, 0, 1]], device=model.device)
    positions = torch.tensor([[0, 1, 0, 1]], device=model.device).expand(2, -1)
    with attention_in_blocks(model):
        forth, back = body(ids, positions).unbind()
    change = float((forth - back.roll(2, dims=0)).norm() / forth.norm())
    if change <= SEPARATION:
        return None
    return f"{type(body.inner).__name__} lets windows in one row see each other (features change by {change:.1%})"
