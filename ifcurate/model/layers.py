"""Which weights influence is computed over: the linear layers inside the decoder blocks."""

from __future__ import annotations

import torch
from torch import nn
from transformers import PreTrainedModel

from ifcurate.errors import InputError


def tracked_linears(model: PreTrainedModel) -> dict[str, nn.Linear]:
    """Every `nn.Linear` inside the decoder blocks, by name, in module order. Never embeddings or the LM head.

    Raises:
        InputError: the model has no stack of decoder blocks, or a block holds a weight matrix that is not an
            ordinary linear layer (fused experts, convolutions, quantized layers); names it.
    """
    prefix, blocks = _decoder_blocks(model)
    linears: dict[str, nn.Linear] = {}
    for name, module in blocks.named_modules():
        full_name = f"{prefix}.{name}"
        if type(module) is nn.Linear and module.weight.is_floating_point():
            linears[full_name] = module
        elif not isinstance(module, nn.Embedding):
            _refuse_untracked(full_name, module)
    if not linears:
        raise InputError(f"{_name(model)}: its decoder blocks hold no nn.Linear; this architecture cannot be scored.")
    return linears


def tracked_parameters(model: PreTrainedModel) -> dict[str, nn.Parameter]:
    """Weights and biases of `tracked_linears`, by parameter name, in module order."""
    return {
        f"{name}.{part}": parameter
        for name, linear in tracked_linears(model).items()
        for part, parameter in linear.named_parameters(recurse=False)
    }


def _decoder_blocks(model: PreTrainedModel) -> tuple[str, nn.ModuleList]:
    """The blocks of the text model: a vision tower may have as many."""
    count = int(model.config.get_text_config().num_hidden_layers)
    text = {id(module) for module in model.get_decoder().modules()}
    for name, module in model.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == count and id(module) in text:
            return name, module
    raise InputError(f"{_name(model)}: has no list of {count} decoder blocks; only decoder-only models can be scored.")


def _refuse_untracked(name: str, module: nn.Module) -> None:
    own = list(module.named_parameters(recurse=False)) + list(module.named_buffers(recurse=False))
    for part, tensor in own:
        is_weight = isinstance(tensor, nn.Parameter) or tensor.dtype in (torch.int8, torch.uint8)
        if is_weight and tensor.ndim >= 2:
            raise InputError(
                f"{name}.{part}: a {type(module).__name__} weight of shape {tuple(tensor.shape)} is no ordinary linear "
                "layer (fused experts or quantized?) and cannot be tracked; use a dense, unquantized model."
            )


def _name(model: PreTrainedModel) -> str:
    return str(model.config.name_or_path or type(model).__name__)
