"""Forward mode compiled for batches of one shape: the fastest exact engine on a GPU.

What eager forward mode leaves to many small kernels (rotary positions, norms, activations and the softmax, each with
its derivative) is fused by TorchInductor, and so is the softmax over the vocabulary. Compiling takes minutes and is
done for each shape, so batches come from `batching.PackedRows`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch._dynamo.exc import TorchDynamoException
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from transformers import PreTrainedModel

from ifcurate.devices import is_out_of_memory
from ifcurate.direction import Direction
from ifcurate.errors import InputError
from ifcurate.forward_attention import attention_in_blocks
from ifcurate.forward_mode import ForwardMode
from ifcurate.progress import announce
from ifcurate.token_loss import Body, TokenScores, token_loss_derivatives
from ifcurate.windows import WindowBatch

SEPARATION = 1e-2
"""Largest relative difference of a window's features when others share its row: bfloat16's rounding, and no more."""


class CompiledForwardMode(ForwardMode):
    """`ForwardMode` through `torch.compile`: one graph a shape, or an error; nothing falls back to eager unseen."""

    def __init__(self, model: PreTrainedModel, directions: Sequence[Direction], backend: str = "inductor") -> None:
        """`backend` is a compiler of `torch.compile`.

        Raises:
            InputError: the architecture lets windows in one row see each other.
        """
        super().__init__(model, directions)
        with attention_in_blocks(model):
            check_separation(self._body)
        self._compiled = torch.compile(self._everywhere, dynamic=False, fullgraph=True, backend=backend)
        self._shapes: set[torch.Size] = set()

    @torch.no_grad()
    def score(self, batch: WindowBatch) -> TokenScores:
        """Scores of the label tokens of `batch`; compiles first where its shape is new.

        Raises:
            InputError: there is no compiler here, or the model cannot be compiled.
        """
        shape = batch.labels.shape
        if shape not in self._shapes:
            announce(f"compiling for batches of {shape[0]} x {shape[1]} positions, once; this takes minutes")
        try:
            with attention_in_blocks(self._model):
                losses, slopes = self._compiled(batch.input_ids, batch.positions, batch.labels)
        except TorchDynamoException as error:
            cause = getattr(error, "inner_exception", error)
            if is_out_of_memory(cause):  # the compiler tries kernels out
                raise cause from None
            reason = next(iter(str(cause).splitlines()), type(cause).__name__)
            raise InputError(
                f"option --engine: compiled-jvp cannot be compiled here ({reason}); use --engine jvp, or install what "
                "torch.compile needs: a C++ compiler and, for a GPU, Triton."
            ) from error
        self._shapes.add(shape)
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


@torch.no_grad()
def check_separation(body: Body) -> None:
    """Compare two windows in one row with the same windows in the other order.

    Raises:
        InputError: they leave traces in each other: the architecture takes no notice of `positions`.
    """
    device = next(body.parameters()).device
    ids = torch.tensor([[0, 1, 2, 3], [2, 3, 0, 1]], device=device)
    positions = torch.tensor([[0, 1, 0, 1]], device=device).expand(2, -1)
    forth, back = body(ids, positions).unbind()
    error = float((forth - back.roll(2, dims=0)).norm() / forth.norm())
    if not error <= SEPARATION:
        raise InputError(
            f"option --engine: compiled-jvp packs windows into rows, and {type(body.inner).__name__} lets them see "
            f"each other (features change by {error:.1%}); use --engine jvp."
        )
