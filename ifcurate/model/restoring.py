"""Models that are stored in fewer bits than floating point has: restored on request, and refused otherwise."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

import torch
import transformers
from transformers import PretrainedConfig, PreTrainedModel

from ifcurate.errors import InputError, first_line
from ifcurate.model.stored import Stored

SCALE = re.compile(r"_(scales?|scale_inv)$")
"""Behind the name of a weight: what it is to be multiplied with."""


def options_of_weights(stored: Stored, name_or_path: str, config: PretrainedConfig | None) -> dict[str, Any]:
    """What `from_pretrained` of a model is to be told of how it is stored; `config` is what the model says of itself.

    Raises:
        InputError: it is quantized and is not to be restored, or cannot be.
    """
    if stored.gguf_file is not None:
        kind = getattr(transformers, "GgufConfig", None)  # without which everything is restored
        return {"gguf_file": stored.gguf_file} | (
            {} if kind is None else {"quantization_config": kind(dequantize=True)}
        )
    quantized = _quantization(config)
    if quantized is None:
        return {}
    method = str(quantized.get("quant_method", "by an unnamed method"))
    restoring = _restoring(quantized, name_or_path, method)
    if not stored.dequantize:
        raise InputError(
            f"{name_or_path}: is quantized ({method}), its weights have no derivative; give the unquantized model, or "
            "--dequantize to restore it to floating point."
        )
    return {"quantization_config": restoring}


def _quantization(config: PretrainedConfig | None) -> dict[str, Any] | None:
    """What the model's configuration says of its quantization; None where it says nothing."""
    found = None if config is None else getattr(config, "quantization_config", None) or _of_text(config)
    if found is None:
        return None
    return dict(found) if isinstance(found, dict) else dict(found.to_dict())


def _of_text(config: PretrainedConfig) -> Any:
    return getattr(config.get_text_config(), "quantization_config", None)


def _restoring(quantized: dict[str, Any], name_or_path: str, method: str) -> Any:
    """The same quantization, told to restore."""
    from transformers.quantizers.auto import AutoQuantizationConfig

    try:
        config = AutoQuantizationConfig.from_dict(dict(quantized))
    except Exception as error:  # methods differ in what they need
        raise _no_way_back(name_or_path, method, first_line(error)) from error
    if not hasattr(config, "dequantize") or callable(config.dequantize):
        raise _no_way_back(name_or_path, method, "transformers has no way to restore it")
    config.dequantize = True
    return config


def _no_way_back(name_or_path: str, method: str, why: str) -> InputError:
    return InputError(
        f"{name_or_path}: is quantized ({method}), its weights have no derivative, and cannot be restored to floating "
        f"point ({why}); give the unquantized model."
    )


def require_whole(model: PreTrainedModel, loading: Mapping[str, Collection[str]], name_or_path: str) -> None:
    """Refuse a checkpoint of which something was not read: transformers draws what it misses, and says so in a log.

    Args:
        model: as it was loaded.
        loading: what transformers says of that.
        name_or_path: of the checkpoint.

    Raises:
        InputError: a weight is missing, or what it was quantized with was left unread.
    """
    if missing := sorted(loading["missing_keys"]):
        raise InputError(
            f"{name_or_path}: lacks {len(missing)} of the model's weights ({missing[0]} first); give a whole "
            "checkpoint of a causal language model."
        )
    weights = {name for name, _ in model.named_parameters()}
    unread = sorted(name for name in loading["unexpected_keys"] if SCALE.sub("", name) in weights)
    if unread:
        raise InputError(
            f"{name_or_path}: is quantized in another way than its configuration says, {unread[0]} was not read; give "
            "the unquantized model."
        )


def require_floating_point(model: PreTrainedModel, name_or_path: str) -> None:
    """Refuse weights without derivatives, and forget how restored ones were stored.

    Raises:
        InputError: the model is still quantized.
    """
    left = [name for name, parameter in model.named_parameters() if not _has_derivatives(parameter)]
    quantizer = getattr(model, "hf_quantizer", None)
    restored = getattr(getattr(quantizer, "quantization_config", None), "dequantize", False)
    if left or (getattr(model, "is_quantized", False) and not restored):
        raise InputError(
            f"{name_or_path}: is quantized, its weights have no derivative{f' ({left[0]})' if left else ''}; give the "
            "unquantized model."
        )
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config


def _has_derivatives(parameter: torch.Tensor) -> bool:
    return parameter.is_floating_point() and parameter.dtype.itemsize > 1
