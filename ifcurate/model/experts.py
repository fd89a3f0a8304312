"""Mixtures of experts: expert tensors that transformers keeps fused, seen as one linear layer an expert and part.

A fused tensor [experts, out, in] (or transposed) is what a model has, what directions have and what scoring moves.
Curvature is of linear layers, so fitting opens the experts, and `ExpertLayout` takes tensors from one form to the
other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

try:
    from transformers.integrations.moe import ExpertsInterface
except ImportError:  # before transformers 5, which fuses experts
    ExpertsInterface = None

IMPLEMENTATION = "ifcurate_in_turn"
"""Our implementation's name in transformers."""
DOWN = "down_proj"
Linear = Callable[[str, torch.Tensor], torch.Tensor]
"""The part of an expert of that name, applied to rows [tokens, in]."""


class RoutedLinear(nn.Linear):
    """A linear layer of an opened expert; `rows` int64 are the positions [windows x length] that its inputs are at."""

    rows: torch.Tensor


@dataclass(frozen=True)
class FusedLinear:
    """As many linear layers as there are experts, in one tensor.

    Attributes:
        experts: name of the module.
        part: which of its tensors, `gate_up_proj`, `up_proj` or `down_proj`.
        count: of the experts.
        transposed: whether it is [experts, in, out].
    """

    experts: str
    part: str
    count: int
    transposed: bool

    @property
    def weight(self) -> str:
        """Name of the fused weights."""
        return f"{self.experts}.{self.part}"

    @property
    def bias(self) -> str:
        """Name of the fused biases [experts, out], where there are any."""
        return f"{self.weight}_bias"

    def layer(self, number: int) -> str:
        """Name of the linear layer of one expert."""
        return f"{self.experts}.{number}.{self.part}"


def parts_of(module: Any) -> list[str]:
    """The fused tensors of `module`, in the order of use; none where it holds no fused experts."""
    if not (hasattr(module, "is_transposed") and hasattr(module, "num_experts")):
        return []
    parts = ["gate_up_proj" if getattr(module, "has_gate", True) else "up_proj", DOWN]
    return parts if all(part in module._parameters for part in parts) else []


class ExpertLayout:
    """How the tensors of a model's experts are opened into those of linear layers, and laid back."""

    def __init__(self, model: nn.Module) -> None:
        self.fused = [
            FusedLinear(name, part, _count(module), bool(module.is_transposed))
            for name, module in model.named_modules()
            for part in parts_of(module)
        ]

    @property
    def layers(self) -> list[str]:
        """Names of the linear layers of all experts."""
        return [fused.layer(number) for fused in self.fused for number in range(fused.count)]

    def open(self, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Tensors by the parameter names of linear layers: views of those that are fused."""
        weights = {fused.weight: fused for fused in self.fused}
        biases = {fused.bias: fused for fused in self.fused}
        found: dict[str, torch.Tensor] = {}
        for name, tensor in tensors.items():
            if name in weights:
                for number, own in enumerate(tensor):
                    found[f"{weights[name].layer(number)}.weight"] = own.mT if weights[name].transposed else own
            elif name in biases:
                for number, own in enumerate(tensor):
                    found[f"{biases[name].layer(number)}.bias"] = own
            else:
                found[name] = tensor
        return found

    @torch.no_grad()
    def lay_back(
        self, tensors: Mapping[str, torch.Tensor], like: Mapping[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        """The inverse of `open`, with the names and shapes of `like`; zero for layers that `tensors` lacks."""
        found: dict[str, torch.Tensor] = {}
        for name, pattern in like.items():
            parts = self.open({name: pattern})
            if list(parts) == [name]:
                found[name] = tensors[name]
                continue
            some = next(iter(tensors.values()))
            whole = torch.zeros(pattern.shape, dtype=some.dtype, device=some.device)
            for part, place in self.open({name: whole}).items():
                if part in tensors:
                    place.copy_(tensors[part])
            found[name] = whole
        return found


def dispatch(
    hidden: torch.Tensor,
    chosen: torch.Tensor,
    weights: torch.Tensor,
    experts: int,
    run: Callable[[int, torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    """The weighted sum over the experts that every token has chosen, each run once on its tokens.

    Args:
        hidden: [tokens, width].
        chosen: int64 [tokens, k]; numbers that are no expert's contribute nothing.
        weights: [tokens, k].
        experts: how many there are.
        run: an expert's number and its tokens, ascending and perhaps none, to outputs [rows, width].

    Returns:
        [tokens, width]. Nothing is written in place, so that every kind of derivative passes.
    """
    numbers, order = chosen.flatten().sort(stable=True)
    rows = (order // chosen.shape[-1]).split(torch.bincount(numbers, minlength=experts).tolist())
    outputs = [run(number, own) for number, own in enumerate(rows[:experts])]
    outputs += [hidden.new_zeros(len(own), hidden.shape[-1]) for own in rows[experts:]]
    slots = torch.cat(outputs)[order.argsort()].reshape(*chosen.shape, -1)
    return (slots * weights[..., None]).sum(1).to(hidden.dtype)


def apply_expert(module: Any, values: torch.Tensor, linear: Linear) -> torch.Tensor:
    """One expert of a fused `module` on rows [tokens, width]."""
    first, last = parts_of(module)
    inner = linear(first, values)
    inner = module._apply_gate(inner) if module.has_gate else module.act_fn(inner)
    outputs = linear(last, inner)
    return module.post_expert_norm(outputs) if getattr(module, "has_post_expert_norm", False) else outputs


def experts_in_turn(
    module: Any, hidden_states: torch.Tensor, top_k_index: torch.Tensor, top_k_weights: torch.Tensor
) -> torch.Tensor:
    """Fused experts one by one, as transformers calls them (`ExpertsInterface`): for every dtype and derivative."""

    def linear(number: int, part: str, values: torch.Tensor) -> torch.Tensor:
        weight, bias = getattr(module, part)[number], getattr(module, f"{part}_bias", None)
        return nn.functional.linear(
            values, weight.mT if module.is_transposed else weight, None if bias is None else bias[number]
        )

    def run(number: int, rows: torch.Tensor) -> torch.Tensor:
        return apply_expert(module, hidden_states[rows], partial(linear, number))

    return dispatch(hidden_states, top_k_index, top_k_weights, _count(module), run)


def _count(module: Any) -> int:
    return int(module.num_experts)


def use_own_experts(model: PreTrainedModel) -> None:
    """Have `model` compute fused experts by `experts_in_turn`, where its architecture lets that be chosen."""
    if ExpertsInterface is not None and any(parts_of(module) for module in model.modules()):
        model.set_experts_implementation(IMPLEMENTATION)


def routers(model: nn.Module) -> Iterator[nn.Linear]:
    """Linear layers that choose among fused experts beside them: those with an output an expert."""
    for parent in model.modules():
        for experts in parent.children():
            if parts_of(experts):
                for module in parent.modules():
                    if isinstance(module, nn.Linear) and module.out_features == _count(experts):
                        yield module


if ExpertsInterface is not None:
    ExpertsInterface.register(IMPLEMENTATION, experts_in_turn)
