"""What flows through the tracked layers: their inputs and the gradients of their outputs, in one forward and backward
pass, without the gradient of a single weight."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from ifcurate.errors import InputError
from ifcurate.influence.curvature.opened import open_experts
from ifcurate.influence.curvature.sampled_labels import sampled_gradients
from ifcurate.model.experts import RoutedLinear
from ifcurate.model.layers import tracked_linears
from ifcurate.model.token_loss import split
from ifcurate.model.windows import WindowBatch

OnSignals = Callable[[str, torch.Tensor, torch.Tensor, list[int]], None]
"""Layer, its inputs [tokens, in], the gradients of its outputs [tokens, out], window after window without padding, and
how many tokens each window has there: those that were sent to it, of an expert."""


@dataclass(frozen=True)
class Layer:
    """A tracked layer, and the first to run of all layers that read the same inputs (itself, where it is alone)."""

    module: nn.Linear
    first_reader: str

    @property
    def has_bias(self) -> bool:
        """Whether its inputs have a one appended."""
        return self.module.bias is not None

    def kept_rows(self, mask: torch.Tensor) -> tuple[torch.Tensor, list[int]]:
        """Which rows of the last batch are no padding, by its mask [windows, length], and how many each window has."""
        if not isinstance(self.module, RoutedLinear):
            return mask.flatten(), mask.sum(1).tolist()
        kept = mask.flatten()[self.module.rows]
        windows = self.module.rows[kept] // mask.shape[1]
        return kept, torch.bincount(windows, minlength=len(mask)).tolist()


class Signals:
    """Runs batches through a model and hands out what its tracked layers receive and send back."""

    def __init__(self, model: PreTrainedModel) -> None:
        """Freezes `model` and opens its experts, in place; no weight of it is changed."""
        open_experts(model)
        model.requires_grad_(False)
        self._model = model
        self._body, self._head = split(model)
        self.layers = first_readers(model, tracked_linears(model))
        self._inputs: dict[str, torch.Tensor] = {}

    @property
    def device(self) -> str:
        """Where batches go."""
        return str(self._model.device)

    def run(self, batch: WindowBatch, numbers: torch.Tensor, on_signals: OnSignals) -> None:
        """One pass forward and backward over `batch`, with labels sampled from the model.

        Layers are handed out in the order of the backward pass, experts that no token is sent to are not; gradients are
        those of the summed loss, in nats.

        Args:
            batch: on the model's device.
            numbers: float64 [windows, length], see `random_numbers`.
            on_signals: called once a layer; holds no reference to the tensors when it returns.
        """
        self._inputs.clear()
        with torch.enable_grad(), self._hooks(batch.read, on_signals):
            features = self._body(batch.input_ids)[batch.mask]
            features.backward(sampled_gradients(self._head, features.detach(), numbers[batch.mask]))
        self._inputs.clear()

    @contextmanager
    def _hooks(self, mask: torch.Tensor, on_signals: OnSignals) -> Iterator[None]:
        embeddings = self._model.get_input_embeddings()
        handles = [embeddings.register_forward_hook(_with_gradient)]
        for name, layer in self.layers.items():
            handles.append(layer.module.register_forward_hook(self._keeper(name, mask, on_signals)))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _keeper(
        self, name: str, mask: torch.Tensor, on_signals: OnSignals
    ) -> Callable[[nn.Module, tuple[torch.Tensor, ...], torch.Tensor], None]:
        """A forward hook that keeps a layer's inputs until the gradient of its outputs comes."""
        layer = self.layers[name]

        def on_gradient(gradient: torch.Tensor) -> None:
            inputs = self._inputs.pop(name)
            with torch.no_grad():
                kept, lengths = layer.kept_rows(mask)
                on_signals(name, inputs.flatten(0, -2)[kept], gradient.flatten(0, -2)[kept], lengths)

        def on_forward(module: nn.Module, given: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            if name in self._inputs:
                raise InputError(f"{name}: is used twice in one pass, so that its curvature has no factors.")
            if not isinstance(module, RoutedLinear) and given[0].shape[:-1].numel() != mask.numel():
                raise InputError(f"{name}: reads some of the tokens only, so that its curvature cannot be fitted.")
            self._inputs[name] = given[0].detach()
            assert self._inputs[layer.first_reader].data_ptr() == given[0].data_ptr()
            output.register_hook(on_gradient)

        return on_forward


def _with_gradient(module: nn.Module, given: Any, output: torch.Tensor) -> torch.Tensor:
    """A copy of what is embedded, for models that scale it in place."""
    return output.detach().requires_grad_().clone()


def first_readers(model: PreTrainedModel, linears: dict[str, nn.Linear], **reading: torch.Tensor) -> dict[str, Layer]:
    """Which layers read the very same tensor, and append a one to it or not: seen on a pass over two tokens.

    `reading` is what `model` is given beside them.

    Raises:
        InputError: a layer is not run at all.
    """
    seen: dict[str, torch.Tensor] = {}
    hooks = [
        linear.register_forward_hook(lambda module, given, output, name=name: seen.__setitem__(name, given[0]))
        for name, linear in linears.items()
    ]
    with torch.no_grad():
        model(input_ids=torch.zeros(1, 2, dtype=torch.long, device=model.device), use_cache=False, **reading)
    for hook in hooks:
        hook.remove()
    firsts: dict[tuple[int, bool], str] = {}
    for name, tensor in seen.items():  # in the order in which they run
        firsts.setdefault((id(tensor), linears[name].bias is not None), name)
    layers: dict[str, Layer] = {}
    for name, linear in linears.items():
        if isinstance(linear, RoutedLinear):
            layers[name] = Layer(linear, name)
            continue
        if name not in seen:
            raise InputError(f"{name}: is not run on ordinary text, so that its curvature cannot be fitted.")
        layers[name] = Layer(linear, firsts[id(seen[name]), linear.bias is not None])
    return layers
