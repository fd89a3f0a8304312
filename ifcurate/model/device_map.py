"""One model over the GPUs of a machine: its blocks, in order, shared out by size; everything else on the first."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import torch
from accelerate import dispatch_model
from torch import nn
from transformers import PreTrainedModel

from ifcurate.errors import InputError
from ifcurate.model.devices import resolve_device
from ifcurate.model.layers import decoder_blocks
from ifcurate.model.settings import DeviceMap


def resolve_devices(device: str, device_map: DeviceMap | None) -> list[str]:
    """`device`, see `resolve_device`, or all GPUs of this machine for the device map `auto`.

    Raises:
        InputError: a GPU is asked for that is not there, or there are fewer than two to share a model out over.
    """
    if device_map is None:
        return [resolve_device(device)]
    count = torch.cuda.device_count()
    if count < 2:
        raise InputError(
            f"option --device-map: shares a model out over several GPUs, and there are {count}; leave it out."
        )
    return [f"cuda:{number}" for number in range(count)]


def place(model: PreTrainedModel, devices: Sequence[str]) -> PreTrainedModel:
    """`model` on one device, or on several, see `spread`."""
    return model.to(devices[0]) if len(devices) == 1 else spread(model, devices)


def spread(model: PreTrainedModel, devices: Sequence[str]) -> PreTrainedModel:
    """`model` with its weights on several devices, between which accelerate's hooks move activations.

    Embeddings, norms and head are on the first one, so that features and losses are there, whichever device the last
    block is on. Weights keep their dtype.

    Args:
        model: on the CPU, in evaluation mode.
        devices: names, in the order in which blocks fill them.

    Raises:
        InputError: the model has no list of decoder blocks.
    """
    shared_out: PreTrainedModel = dispatch_model(
        model, device_map_of(model, devices), main_device=devices[0], force_hooks=True
    )
    return shared_out


def device_map_of(model: PreTrainedModel, devices: Sequence[str]) -> dict[str, str]:
    """The device of every module, by name; those that are not named lie in one that is.

    The weights of the blocks, and those of everything else on the first device, are shared out as evenly as whole
    blocks allow.
    """
    prefix, blocks = decoder_blocks(model)
    apart = _apart_from(model, prefix)
    sizes = [_bytes(block) for block in blocks]
    before = _bytes(model) - sum(sizes)
    share = _bytes(model) / len(devices)
    middles = (before + end - size / 2 for end, size in zip(accumulate(sizes), sizes, strict=True))
    placed = {
        f"{prefix}.{number}": devices[min(int(middle / share), len(devices) - 1)]
        for number, middle in enumerate(middles)
    }
    return dict.fromkeys(apart, devices[0]) | placed


def _apart_from(model: nn.Module, prefix: str) -> list[str]:
    """What holds everything but the module `prefix`: the children of every module above it, and their own weights."""
    names, inner = [], ""
    for step in prefix.split("."):
        above = model.get_submodule(inner)
        outer, inner = inner, f"{inner}.{step}".removeprefix(".")
        names += [f"{outer}.{name}".removeprefix(".") for name, _ in above.named_children()]
        names += [f"{outer}.{name}".removeprefix(".") for name, _ in above.named_parameters(recurse=False)]
        names.remove(inner)
    return names


def _bytes(module: nn.Module) -> int:
    return sum(parameter.numel() * parameter.element_size() for parameter in module.parameters())
