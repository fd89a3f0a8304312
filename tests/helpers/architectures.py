"""A tiny model of every decoder-only architecture that transformers has, and what becomes of it here.

`python tests/helpers/architectures.py docs/models.md` writes the table anew.
"""

from __future__ import annotations

import copy
import re
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from oracles import influence_by_autograd, random_direction, random_windows
from transformers import CONFIG_MAPPING, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from ifcurate.errors import InputError
from ifcurate.influence.engines.forward_mode import ForwardMode
from ifcurate.influence.probe import require_scorable
from ifcurate.model.checkpoints import not_loaded
from ifcurate.model.configurations import require_text
from ifcurate.model.experts import use_own_experts
from ifcurate.model.layers import VECTORS
from ifcurate.model.plain_linears import use_plain_linears
from ifcurate.model.windows import collate

VOCABULARY = 64
WIDTH = dict.fromkeys(("hidden_size", "d_model", "n_embd", "emb_dim", "dim", "embedding_size"), 32)
INNER = dict.fromkeys(
    ("intermediate_size", "encoder_ffn_dim", "decoder_ffn_dim", "ffn_dim", "d_ff", "ffn_hidden_size", "n_inner"), 32
)
SLIM = dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size", "expert_ffn_hidden_size"), 16)
HEADS = dict.fromkeys(
    ("num_attention_heads", "n_head", "n_heads", "num_heads", "encoder_attention_heads", "decoder_attention_heads"), 4
)
BLOCKS = dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers", "decoder_layers"), 2)
LONGEST = dict.fromkeys(("max_position_embeddings", "n_positions", "max_seq_len", "n_ctx", "max_sequence_length"), 64)
EXPERTS = dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"), 4)
NARROW = dict.fromkeys(
    ("head_dim", "qk_rope_head_dim", "qk_nope_head_dim", "v_head_dim", "rotary_dim", "state_size", "mamba_d_state"), 8
) | dict.fromkeys(("linear_key_head_dim", "linear_value_head_dim", "global_head_dim", "d_kv", "index_head_dim"), 8)
FEW = dict.fromkeys(
    ("num_key_value_heads", "num_experts_per_tok", "num_experts_per_token", "moe_k", "linear_num_key_heads"), 2
)
ONE = dict.fromkeys(("encoder_layers", "n_group", "topk_group", "first_k_dense_replace", "mamba_n_groups"), 1)
SMALL = (
    {"vocab_size": VOCABULARY, "sliding_window": 8, "q_lora_rank": 16, "kv_lora_rank": 16, "mamba_n_heads": 4}
    | {"mamba_d_head": 16, "linear_num_value_heads": 2, "moe_topk": 2, "vocab_size_per_layer_input": VOCABULARY}
    | {"hidden_size_per_layer_input": 8}
    | WIDTH | INNER | SLIM | HEADS | BLOCKS | LONGEST | EXPERTS | NARROW | FEW | ONE
)  # fmt: skip
"""What configurations call their sizes, made small wherever they have a number there."""
TOKENS = {"pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 0}
LATENT: dict[str, Any] = {"num_key_value_heads": 4}
"""Of multi-head latent attention, whose key heads are as many as its heads."""
ROUTED: dict[str, Any] = {"n_routed_experts": 4, "num_experts_per_tok": 2, "n_shared_experts": 1}
ROPE = {"rope_type": "default", "rope_theta": 10000.0}
DRAFTER: dict[str, Any] = {"num_hidden_layers": 2, "num_kv_shared_layers": 2} | {
    "hidden_size_per_layer_input": 0,
    "vocab_size_per_layer_input": 0,
}
"""Of a model that drafts for another: all its keys are of that one."""
SPARSE: dict[str, Any] = {"index_topk": 4, "index_n_heads": 2, "shared_experts_intermediate_size": 16}
ADAPTED = {"adapter_out_dim": 32}
OWN: dict[str, dict[str, Any]] = {
    "axk1": LATENT,
    "axk2": LATENT,
    "bailing_hybrid": LATENT | {"n_group": 2, "topk_group": 1, "head_dim": 8},
    "blt": {"encoder_hash_byte_group_vocab": VOCABULARY},
    "big_bird": {"attention_type": "original_full"},
    "cohere_compass_text": {"layer_types": ["sliding_attention", "full_attention"]}
    | {"rope_parameters": dict.fromkeys(("sliding_attention", "full_attention"), ROPE)},
    "dbrx": {"attn_config": {"kv_n_heads": 2, "rope_theta": 10000.0, "clip_qkv": 8.0}}
    | {"ffn_config": {"ffn_hidden_size": 32, "moe_num_experts": 4, "moe_top_k": 2}},
    "deepseek_v2": LATENT | {"num_experts_per_tok": 2},
    "deepseek_v3": LATENT,
    "deepseek_v32": LATENT | {"index_topk": 4, "index_n_heads": 2},
    "dots1": ROUTED,
    "deepseek_v4": {"compress_rates": {"compressed_sparse_attention": 2, "heavily_compressed_attention": 4}}
    | {"index_topk": 2, "index_n_heads": 2, "o_groups": 2, "o_lora_rank": 8}
    | {"layer_types": ["heavily_compressed_attention", "compressed_sparse_attention"]},
    "dots3_note": {"text_config": LATENT | SPARSE, "audio_config": ADAPTED | {"adapter_input_size": 32}}
    | {"vision_config": ADAPTED | {"adapter_in_dim": 32, "mlp_layer_types": ["dense", "dense"]}},
    "dots3_note_text": LATENT | SPARSE,
    "falcon_h1": {"mamba_d_ssm": 64},
    "gemma4_assistant": {"text_config": DRAFTER, "backbone_hidden_size": 32},
    "gemma3n_text": {"num_kv_shared_layers": 0, "activation_sparsity_pattern": None, "laurel_rank": 8},
    "glm4_moe_lite": LATENT,
    "glm_moe_dsa": LATENT | {"index_topk": 4, "index_n_heads": 2},
    "inkling2_loop_text": {
        "swa_head_dim": 8,
        "swa_num_attention_heads": 4,
        "swa_num_key_value_heads": 2,
        "rel_extent": 8,
    }
    | {
        "num_hidden_layers": 4,
        "loop_layer_index_start": 1,
        "loop_layer_index_end": 3,
        "n_layers_per_attn_res_block": 1,
    },
    "inkling2_text": {"swa_head_dim": 8, "swa_num_attention_heads": 4, "swa_num_key_value_heads": 2, "rel_extent": 8},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]]},
    "hunyuan_v1_dense": {"head_dim": 8},
    "hunyuan_v1_moe": {"head_dim": 8},
    "hrm_text": {"H_cycles": 1, "L_cycles": 1},
    "kimi_linear": LATENT | {"linear_head_dim": 8, "linear_num_heads": 4},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"], "num_dense_layers": 1},
    "longcat_flash": LATENT | {"zero_expert_num": 2},
    "mamba2": {"num_heads": 8, "head_dim": 8, "n_groups": 1, "expand": 2},
    "minicpm3": LATENT,
    "ministral": {"head_dim": 8},
    "nemotron": {"num_key_value_heads": 2, "head_dim": 8},
    "reformer": {"axial_pos_embds_dim": [16, 16], "axial_pos_shape": [8, 8], "attn_layers": ["local", "lsh"]},
    "rembert": {"input_embedding_size": 32, "output_embedding_size": 32},
    "roc_bert": {"pronunciation_vocab_size": 8, "shape_vocab_size": 8}
    | {"pronunciation_embed_dim": 8, "shape_embed_dim": 8},
    "sarvam_mla": LATENT,
    "xlm": {"n_words": VOCABULARY},
    "xmod": {"languages": ["en_XX"], "default_language": "en_XX"},
    "youtu": LATENT,
    "zamba": {"num_key_value_heads": 4, "num_hidden_layers": 4, "layers_block_type": ["mamba", "hybrid"] * 2},
    "zamba2": {"num_key_value_heads": 4, "num_hidden_layers": 4, "layers_block_type": ["mamba", "hybrid"] * 2}
    | {"mamba_ngroups": 1, "num_mem_blocks": 1},
    "zaya": {"num_experts_per_tok": 1},
}
"""What else a configuration needs to be small, or to be valid."""
INVALID = {"gemma4_assistant"}
"""Configurations that are not valid as they are by default."""
MOST_PARAMETERS = 10_000_000
MOST_ERROR = 2e-5
"""Relative, in float64; some normalise in float32."""
MOST_ERROR_IN_FLOAT32 = 1e-2
WORKS, REFUSED = "works", "refused"
NAMES = sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
BEGIN, END = "<!-- architectures -->", "<!-- end of architectures -->"


@dataclass(frozen=True)
class Verdict:
    """Whether an architecture can be scored; `note`: which weights are left out beside norms and other vectors, or why
    it is refused."""

    result: str
    note: str

    def row(self, name: str) -> str:
        return f"| `{name}` | {self.result} | {self.note} |"


def tiny_config(name: str) -> PretrainedConfig:
    kind, own = CONFIG_MAPPING[name], OWN.get(name, {})
    plain = kind(**(own if name in INVALID else {}))
    settings: dict[str, Any] = _smaller(plain)
    for part in getattr(kind, "sub_configs", None) or {}:
        if (inner := getattr(plain, part, None)) is not None:
            settings[part] = _smaller(inner)
    if getattr(plain, "is_decoder", True) is False:
        settings["is_decoder"] = True
    parts = {key: settings[key] | value for key, value in own.items() if isinstance(settings.get(key), dict)}
    return kind(**{**settings, **own, **parts})


def _smaller(config: PretrainedConfig) -> dict[str, Any]:
    stored = config.to_dict()
    small = {key: value for key, value in SMALL.items() if isinstance(stored.get(key), int)}
    return small | {key: value for key, value in TOKENS.items() if key in stored}


def tiny(name: str) -> PreTrainedModel:
    torch.manual_seed(0)
    config = tiny_config(name)
    require_text(config, name)
    try:
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    except Exception as error:  # transformers and what it needs fail in any way
        raise not_loaded(name, error) from error
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.15)
    use_plain_linears(model)
    use_own_experts(model)
    return model.eval()


def verdict(name: str) -> Verdict:
    """Build, probe and score one architecture; wrong scores are an `AssertionError`."""
    try:
        model = tiny(name)
    except InputError as error:
        return Verdict(REFUSED, _reason(str(error)))
    assert sum(parameter.numel() for parameter in model.parameters()) < MOST_PARAMETERS, f"{name} is not tiny"
    try:
        return _scored(name, copy.deepcopy(model).double(), MOST_ERROR)
    except InputError:  # some know float32 alone
        pass
    try:
        return _scored(name, model, MOST_ERROR_IN_FLOAT32)
    except InputError as error:
        return Verdict(REFUSED, _reason(str(error)))


def _scored(name: str, model: PreTrainedModel, most_error: float) -> Verdict:
    covered = require_scorable(copy.deepcopy(model))
    batch = collate(random_windows([6, 3], VOCABULARY - 4), 1)
    direction = random_direction(model)
    expected = influence_by_autograd(model, direction, batch)
    found = ForwardMode(model, [direction]).score(batch).influence[0]
    error = float((found - expected).norm() / expected.norm())
    assert error < most_error, f"{name}: scores are off by {error:.1e}"
    left_out = [f"`{pattern.partition('.*.')[2] or pattern}`" for pattern in covered.left_out if pattern != VECTORS]
    return Verdict(WORKS, ", ".join(dict.fromkeys(left_out)))


def _reason(sentence: str) -> str:
    reason = re.sub(r"^(option --model|\w+): ", "", sentence).replace("|", "/")
    reason = re.sub(r" \([-+.e\d]+ and [-+.e\d]+\)", "", reason)
    return re.sub(r"[;,] (give|use|so|install) [^;]*$", "", reason)[:140]


def table(names: list[str] = NAMES) -> str:
    rows = [verdict(name).row(name) for name in names]
    head = ["| architecture | scores | left out, beside norms and other vectors; or why |", "|---|---|---|"]
    return "\n".join([f"transformers {transformers.__version__}:", "", *head, *rows])


def documented(page: Path) -> tuple[str, dict[str, str]]:
    """The version of transformers that the table is of, and its rows by architecture."""
    text = page.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    version = re.search(r"transformers (\S+):", text)
    assert version is not None
    return version[1], {line.split("`")[1]: line for line in text.splitlines() if line.startswith("| `")}


def of_today(names: list[str] = NAMES, every: int = 16) -> list[str]:
    """A part of all, always the same, drawn by name."""
    return [name for name in names if zlib.crc32(name.encode()) % every == 0]


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    place = Path(sys.argv[1])
    before, _, rest = place.read_text(encoding="utf-8").partition(BEGIN)
    place.write_text(f"{before}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}", encoding="utf-8")
