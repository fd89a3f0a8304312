"""Fused experts as modules of linear layers, in place, for whoever listens to the inputs and outputs of layers."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from ifcurate.model.experts import RoutedLinear, apply_expert, dispatch, parts_of


class OpenedExperts(nn.Module):
    """Experts by number, each with its linear layers by part; their weights are those of the fused tensors."""

    runs_idle = False
    """Whether experts that no token is sent to are run, on nothing."""

    def __init__(self, fused: Any, kind: type[nn.Linear]) -> None:
        super().__init__()
        self._fused = (fused,)  # whose tensors are not to be found here as well
        self.parts = parts_of(fused)
        for number in range(fused.num_experts):
            expert = nn.Module()
            for part in self.parts:
                expert.add_module(part, _linear(fused, part, number, kind))
            self.add_module(str(number), expert)

    def forward(
        self, hidden_states: torch.Tensor, top_k_index: torch.Tensor, top_k_weights: torch.Tensor
    ) -> torch.Tensor:
        """See `experts_in_turn`."""

        def run(number: int, rows: torch.Tensor) -> torch.Tensor:
            if not (len(rows) or self.runs_idle):
                return hidden_states.new_zeros(hidden_states[rows].shape)
            linear = partial(self.apply_part, self.get_submodule(str(number)), rows)
            return apply_expert(self._fused[0], hidden_states[rows], linear)

        return dispatch(hidden_states, top_k_index, top_k_weights, len(self._modules), run)

    def apply_part(self, expert: nn.Module, rows: torch.Tensor, part: str, values: torch.Tensor) -> torch.Tensor:
        """A part of an expert on `values` [rows, in] at positions `rows`."""
        linear = getattr(expert, part)
        linear.rows = rows
        outputs: torch.Tensor = linear(values)
        return outputs


class SpreadExperts(OpenedExperts):
    """The same, with inputs [windows, length, in] that are zero elsewhere, as Kronfluence needs them.

    It tells windows by the first dimension, and wants every layer to run. Every expert computes all positions, so this
    is for reference.
    """

    runs_idle = True
    shape: torch.Size

    def apply_part(self, expert: nn.Module, rows: torch.Tensor, part: str, values: torch.Tensor) -> torch.Tensor:
        """See `OpenedExperts.apply_part`."""
        everywhere = values.new_zeros(self.shape.numel(), values.shape[-1]).index_copy(0, rows, values)
        outputs: torch.Tensor = getattr(expert, part)(everywhere.view(*self.shape, -1))
        return outputs.flatten(0, -2)[rows]


def open_experts(model: PreTrainedModel) -> None:
    """Replace fused experts by `OpenedExperts`, in place."""
    for parent, name, fused in _fused_experts(model):
        setattr(parent, name, OpenedExperts(fused, RoutedLinear))


def spread_experts(model: PreTrainedModel) -> None:
    """Replace fused experts by `SpreadExperts`, in place."""
    opened = []
    for parent, name, fused in _fused_experts(model):
        opened.append(SpreadExperts(fused, nn.Linear))
        setattr(parent, name, opened[-1])

    def tell_shape(module: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        for experts in opened:
            experts.shape = given[0].shape

    if opened:
        model.get_input_embeddings().register_forward_pre_hook(tell_shape)


def _fused_experts(model: PreTrainedModel) -> list[tuple[nn.Module, str, nn.Module]]:
    return [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if parts_of(child)
    ]


def _linear(fused: Any, part: str, number: int, kind: type[nn.Linear]) -> nn.Linear:
    weight, bias = getattr(fused, part).detach()[number], getattr(fused, f"{part}_bias", None)
    weight = weight.mT if fused.is_transposed else weight
    linear = kind(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    linear.weight = nn.Parameter(weight, requires_grad=False)
    if bias is not None:
        linear.bias = nn.Parameter(bias.detach()[number], requires_grad=False)
    return linear
