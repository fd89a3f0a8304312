import logging

import pytest
import torch
from tiny_models import EXPERT_FAMILIES, FAMILIES, tiny_model

from ifcurate.errors import InputError
from ifcurate.model.layers import IDLE, Coverage, coverage, say_coverage, tracked_linears, tracked_parameters

LAYERS_PER_BLOCK = {"gpt_neox": 4, "llama": 7, "qwen2": 7, "gpt2": 4}


@pytest.mark.parametrize("family", FAMILIES)
def test_linear_layers_of_the_blocks_are_tracked_and_nothing_else(family):
    model = tiny_model(family)
    linears = tracked_linears(model)
    assert len(linears) == 2 * LAYERS_PER_BLOCK[family]
    outside = {id(model.get_output_embeddings()), id(model.get_input_embeddings())}
    assert not outside & {id(linear) for linear in linears.values()}
    named = dict(model.named_parameters())
    assert all(named[name] is parameter for name, parameter in tracked_parameters(model).items())


@pytest.mark.parametrize("family", EXPERT_FAMILIES)
def test_fused_experts_are_tracked_and_what_chooses_among_them_is_not(family):
    names = [name.removeprefix("model.layers.1.") for name in tracked_parameters(tiny_model(family)) if ".1." in name]
    biases = ["mlp.experts.gate_up_proj_bias", "mlp.experts.down_proj_bias"] if family == "gpt_oss" else []
    experts = {"mlp.experts.gate_up_proj", "mlp.experts.down_proj", *biases}
    assert {name for name in names if not name.startswith("self_attn.")} == experts


def test_coverage_counts_every_parameter_of_the_blocks():
    model = tiny_model("mixtral")
    found = coverage(model)
    block = sum(parameter.numel() for parameter in model.model.layers.parameters())
    router, norms = 2 * 6 * 32, 2 * 2 * 32
    assert found.total == block
    assert found.left_out == {"model.layers.*.mlp.gate.weight": router, "norms and other vectors": norms}
    assert found.tracked == block - router - norms
    assert found.sentence().startswith(f"influence is over {found.share:.1%} of the {block:,} parameters")


def test_idle_experts_count_as_left_out():
    model = tiny_model("mixtral")
    idle = {
        f"model.layers.0.mlp.experts.{number}.{part}" for number in (1, 4) for part in ("gate_up_proj", "down_proj")
    }
    found, whole = coverage(model, idle), coverage(model)
    assert found.left_out[IDLE] == 2 * (48 * 32 + 32 * 24) == whole.tracked - found.tracked
    assert found.total == whole.total


def test_less_than_most_of_the_model_comes_with_a_warning(caplog):
    caplog.set_level(logging.INFO, "ifcurate")
    say_coverage(Coverage(95, 100, {"a.*.weight": 5}))
    say_coverage(Coverage(89, 100, {"a.*.weight": 11}))
    assert [record.levelname for record in caplog.records] == ["INFO", "WARNING"]
    assert "left out: a.*.weight (11.00%); scores know nothing" in caplog.messages[1]


def test_quantized_weights_are_refused_by_name():
    model = tiny_model("llama")
    layer = model.model.layers[0].mlp.up_proj
    del layer.weight
    layer.register_buffer("weight", torch.zeros(48, 32, dtype=torch.int8))
    with pytest.raises(InputError, match=r"layers\.0\.mlp\.up_proj\.weight.*quantized"):
        tracked_linears(model)


def test_blocks_without_a_linear_layer_are_refused():
    model = tiny_model("llama")
    for number in range(2):
        model.model.layers[number] = torch.nn.Identity()
    with pytest.raises(InputError, match=r"hold no nn\.Linear"):
        tracked_linears(model)
