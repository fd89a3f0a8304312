"""What of a model decides what influence takes: the shapes of its tracked layers, and who reads the same inputs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from ifcurate.influence.curvature.opened import OpenedExperts, open_experts
from ifcurate.influence.curvature.signals import Layer, first_readers
from ifcurate.model.experts import RoutedLinear
from ifcurate.model.layers import decoder_blocks, tracked_linears, tracked_parameters

CHOSEN = ("num_experts_per_tok", "num_experts_per_token", "moe_topk", "top_k_experts", "moe_k")
"""What configurations call the number of experts that a token is sent to."""


@dataclass(frozen=True)
class LayerShape:
    """A tracked linear layer.

    Attributes:
        inputs: with the one that a bias is multiplied with.
        outputs: its rows.
        is_first: whether it is the first of those that read the same inputs.
        share: of the tokens that are sent to it; 1 but for experts.
    """

    inputs: int
    outputs: int
    is_first: bool
    share: float = 1.0

    @property
    def values(self) -> int:
        """Of its weights and bias."""
        return self.inputs * self.outputs


@dataclass(frozen=True)
class ModelShape:
    """What is counted of a model.

    Attributes:
        layers: the tracked ones; how often each shape is there.
        parameters: all values.
        tracked: those that influence is over.
        blocks: how many there are.
        hidden: width of the features.
        vocabulary: rows of the head.
        inner: the widest of a block's tensors.
        shares_inputs: whether it is known which layers read the same inputs; where not, each has inputs of its own.
    """

    layers: Counter[LayerShape]
    parameters: int
    tracked: int
    blocks: int
    hidden: int
    vocabulary: int
    inner: int
    shares_inputs: bool = True

    @property
    def matrices(self) -> Counter[int]:
        """Sizes of the covariances, each of which is decomposed: how many there are."""
        found: Counter[int] = Counter()
        for layer, count in self.layers.items():
            found[layer.outputs] += count
            found[layer.inputs] += count * layer.is_first
        return +found


def shape_of(outline: PreTrainedModel) -> ModelShape:
    """The shape of an outline, whose experts are opened in place.

    Raises:
        InputError: it has no decoder blocks, or nothing to track in them.
    """
    config = outline.config.get_text_config()
    parameters = sum(parameter.numel() for parameter in outline.parameters())
    tracked = sum(parameter.numel() for parameter in tracked_parameters(outline).values())
    blocks = len(decoder_blocks(outline)[1])
    open_experts(outline)
    share = _share_of_experts(outline, config)
    linears = tracked_linears(outline)
    layers, known = _readers(outline, linears)
    shapes = Counter(
        LayerShape(
            layer.module.in_features + layer.has_bias,
            layer.module.out_features,
            layer.first_reader == name,
            share if isinstance(layer.module, RoutedLinear) else 1.0,
        )
        for name, layer in layers.items()
    )
    return ModelShape(
        shapes,
        parameters,
        tracked,
        blocks,
        int(config.hidden_size),
        int(config.vocab_size),
        max(max(layer.inputs, layer.outputs) for layer in shapes),
        known,
    )


def _share_of_experts(outline: PreTrainedModel, config: Any) -> float:
    experts = next((len(module._modules) for module in outline.modules() if isinstance(module, OpenedExperts)), 0)
    chosen = next((int(found) for name in CHOSEN if (found := getattr(config, name, None))), 1)
    return min(1.0, chosen / experts) if experts else 1.0


def _readers(outline: PreTrainedModel, linears: dict[str, nn.Linear]) -> tuple[dict[str, Layer], bool]:
    """Who reads what, seen on a pass over tensors without values; False where the model cannot be run without them."""
    for module in outline.modules():
        if isinstance(module, OpenedExperts):  # which tokens go where depends on values
            module.forward = lambda hidden, *routed: hidden  # type: ignore[assignment]
    try:
        mask = torch.ones(1, 2, dtype=torch.long, device="meta")
        return first_readers(outline, linears, attention_mask=mask), True
    except Exception:  # an architecture may fail in any way
        return {name: Layer(linear, name) for name, linear in linears.items()}, False
