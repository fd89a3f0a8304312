"""What tells one model, or one tokenizer, from another: hashes that travel in directions, sidecars and results."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

from ifcurate.model.adapters import adapter_facts

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

WITHOUT_EFFECT = frozenset(
    {
        *("_name_or_path", "name_or_path", "architectures", "auto_map", "transformers_version", "dtype", "torch_dtype"),
        *("_attn_implementation", "_attn_implementation_internal", "attn_implementation", "use_cache", "return_dict"),
        *("_experts_implementation", "_experts_implementation_internal", "quantization_config"),
        *("output_attentions", "output_hidden_states", "gradient_checkpointing", "pretraining_tp"),
        *("bos_token_id", "eos_token_id", "pad_token_id"),
        *("tie_word_embeddings", "chunk_size_feed_forward"),
    }
)
"""Entries of a configuration that change no output in evaluation: where it came from, how it is run, and what its
weights say already. So do those that `TRAINING_ONLY` finds: dropout, and how weights are drawn."""
TRAINING_ONLY = re.compile(r"drop|initializer")


def hash_model(model: PreTrainedModel) -> str:
    """Hex SHA-256 over what decides a model's outputs.

    That is its configuration without the entries of `WITHOUT_EFFECT` (name, dtype, version of transformers, attention
    implementation, cache, special tokens, ...), those for training only and those that are null; and names, shapes and
    values of all parameters and stored buffers. The same for any stored dtype that holds the same numbers, and for any
    sharding of the files; other `rope_theta` or epsilon is another model.
    """
    deciding = {**model.config.to_diff_dict(), **adapter_facts(model)}
    digest = hashlib.sha256(json.dumps(_with_effect(deciding), sort_keys=True).encode())
    stored = model.state_dict().keys()
    buffers = {name: buffer for name, buffer in model.named_buffers() if name in stored}
    for name, tensor in sorted([*model.named_parameters(), *buffers.items()]):
        digest.update(f"{name}{tuple(tensor.shape)}".encode())
        values = tensor.detach().cpu().float().contiguous()
        digest.update(values.numpy().tobytes())
    return digest.hexdigest()


def hash_tokenizer(tokenizer: PreTrainedTokenizerFast) -> str:
    """Hex SHA-256 of the tokenizer's definition, without its truncation and padding: those are how it was last used."""
    definition = json.loads(tokenizer.backend_tokenizer.to_str())
    used = {name: value for name, value in definition.items() if name not in ("truncation", "padding")}
    return hashlib.sha256(json.dumps(used, ensure_ascii=False).encode("utf-8", "surrogatepass")).hexdigest()


def _with_effect(entry: Any) -> Any:
    """A configuration, or a part of one, without what changes no output; 1.0 is 1, as files differ in that."""
    if isinstance(entry, dict):
        return {
            str(name): _with_effect(value)
            for name, value in entry.items()
            if value is not None and name not in WITHOUT_EFFECT and not TRAINING_ONLY.search(str(name))
        }
    if isinstance(entry, list | tuple):
        return [_with_effect(value) for value in entry]
    if isinstance(entry, float) and entry.is_integer():
        return int(entry)
    return entry if isinstance(entry, bool | int | float | str) else str(entry)
