"""Attention and positions of other kinds, against autograd through transformers' own attention in float64."""

import pytest
import torch
from oracles import influence_by_autograd, random_direction, random_windows
from tiny_models import SMALL, VOCABULARY, WIDE, tiny_gemma3
from transformers import AutoModelForCausalLM, Gemma2Config, GraniteSWAConfig, LlamaConfig, MistralConfig, Phi3Config

from ifcurate.errors import InputError
from ifcurate.influence.engines.forward_mode import ForwardMode
from ifcurate.model.positions import hold_positions
from ifcurate.model.windows import collate

LENGTHS = [31, 12]
GROUPED = {**SMALL, **WIDE, "intermediate_size": 48, "num_key_value_heads": 2}


def longrope(original):
    factors = {"short_factor": [1.0, 1.1, 1.2, 1.3], "long_factor": [2.0, 3.0, 4.0, 5.0]}
    rope = {"rope_type": "longrope", "rope_theta": 10_000.0, "original_max_position_embeddings": original, **factors}
    settings = {"rope_scaling": rope, "original_max_position_embeddings": original, "pad_token_id": 0}
    return Phi3Config(**GROUPED, **settings)


CONFIGS = {
    "soft caps": lambda: Gemma2Config(
        **GROUPED, head_dim=8, sliding_window=8, attn_logit_softcapping=2.0, final_logit_softcapping=3.0
    ),
    "sliding windows": lambda: MistralConfig(**GROUPED, sliding_window=8),
    "sinks": lambda: GraniteSWAConfig(**GROUPED, sliding_window=8),
    "llama3 positions": lambda: LlamaConfig(
        **GROUPED,
        rope_scaling={"rope_type": "llama3", "rope_theta": 10_000.0, "factor": 8.0, "low_freq_factor": 1.0}
        | {"high_freq_factor": 4.0, "original_max_position_embeddings": 16},
    ),
    "yarn": lambda: LlamaConfig(
        **GROUPED,
        rope_scaling={"rope_type": "yarn", "rope_theta": 10_000.0, "factor": 4.0}
        | {"original_max_position_embeddings": 16},
    ),
    "longrope": lambda: longrope(32),
}


def built(config):
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.15)
    return model


@pytest.mark.parametrize("name", [*CONFIGS, "multimodal"])
def test_forward_mode_is_the_gradient_along_the_direction(name):
    model = (tiny_gemma3() if name == "multimodal" else built(CONFIGS[name]())).double()
    direction, batch = random_direction(model), collate(random_windows(LENGTHS, VOCABULARY), 0)
    hold_positions(model, max(LENGTHS))
    expected = influence_by_autograd(model, direction, batch)
    found = ForwardMode(model, [direction]).score(batch).influence[0]
    assert float((found - expected).norm() / expected.norm()) < 1e-6


def test_windows_beyond_the_original_context_of_longrope_are_refused():
    model = built(longrope(16))
    hold_positions(model, 16)
    with pytest.raises(InputError, match="option --context: 17 tokens are more than the 16"):
        hold_positions(model, 17)
