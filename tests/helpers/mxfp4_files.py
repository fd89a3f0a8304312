"""A tiny gpt-oss as OpenAI publishes it: its experts in MXFP4, four bits a number and a power of two for every 32."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tiny_models import tiny_model
from transformers import PreTrainedModel

GROUP = 32
NUMBERS = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0])
"""What four bits say (E2M1), of the open MX formats."""
BIAS = 127
EXPERTS = ("experts.gate_up_proj", "experts.down_proj")
SAID = {"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn", "lm_head"]}


def packed(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Blocks uint8 [experts, out, groups, 16] and scales uint8 [experts, out, groups] of [experts, in, out]."""
    groups = weight.mT.unflatten(-1, (-1, GROUP)).float()
    exponents = groups.abs().amax(-1).log2().floor() - 2
    bits = (groups / exponents.exp2()[..., None]).unsqueeze(-1).sub(NUMBERS).abs().argmin(-1)
    return (bits[..., 0::2] | bits[..., 1::2] << 4).to(torch.uint8), (exponents + BIAS).to(torch.uint8)


def unpacked(blocks: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    """[experts, in, out], the inverse of `packed`."""
    bits = torch.stack((blocks & 15, blocks >> 4), -1).flatten(-2).long()
    return (NUMBERS[bits] * (scales.float() - BIAS).exp2()[..., None]).flatten(-2).mT


def save_mxfp4(folder: Path) -> PreTrainedModel:
    """Write one, and return the model that it stands for."""
    model = tiny_model("gpt_oss", intermediate_size=GROUP)
    model.save_pretrained(folder)
    tensors: dict[str, Any] = load_file(folder / "model.safetensors")
    weights = dict(model.named_parameters())
    for name in [name for name in tensors if name.endswith(EXPERTS)]:
        blocks, scales = packed(tensors.pop(name))
        tensors |= {f"{name}_blocks": blocks.contiguous(), f"{name}_scales": scales}
        weights[name].data.copy_(unpacked(blocks, scales))
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config = folder / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "quantization_config": SAID}))
    return model
