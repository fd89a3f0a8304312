import pytest
import torch
from oracles import random_windows
from tiny_models import FAMILIES, VOCABULARY, tiny_model
from transformers import AutoModelForCausalLM, OPTConfig

from ifcurate.influence.curvature.sampled_labels import random_numbers, sample_labels
from ifcurate.influence.curvature.signals import Signals
from ifcurate.model.layers import tracked_linears, tracked_parameters
from ifcurate.model.windows import collate

WINDOWS = random_windows([9, 4], VOCABULARY)


@pytest.mark.parametrize("family", FAMILIES)
def test_inputs_and_gradients_make_the_gradient_of_every_weight(family):
    model = tiny_model(family).double()
    batch, numbers = collate(WINDOWS, 0), random_numbers(WINDOWS, 0, 0)
    found, order = {}, []

    def on_signals(layer, inputs, gradients, lengths):
        order.append(layer)
        assert lengths == [9, 4]
        found[f"{layer}.weight"] = gradients.T @ inputs
        found[f"{layer}.bias"] = gradients.sum(0)

    Signals(model).run(batch, numbers, on_signals)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert sorted(order) == sorted(tracked_linears(model))

    parameters = tracked_parameters(model)
    for parameter in parameters.values():
        parameter.requires_grad_(True)
    logits = model(input_ids=batch.input_ids, use_cache=False).logits[batch.mask]
    labels = sample_labels(logits.detach(), numbers[batch.mask])
    loss = torch.nn.functional.cross_entropy(logits, labels, reduction="sum")
    for name, expected in zip(parameters, torch.autograd.grad(loss, list(parameters.values())), strict=True):
        assert torch.allclose(found[name], expected, rtol=1e-8, atol=1e-12), name


def test_layers_that_read_the_same_inputs_have_one_first_reader():
    layers = Signals(tiny_model("llama")).layers
    block = "model.layers.0."
    firsts = {
        name.removeprefix(block): own.first_reader.removeprefix(block)
        for name, own in layers.items()
        if name.startswith(block)
    }
    assert firsts == {
        "self_attn.q_proj": "self_attn.q_proj",
        "self_attn.k_proj": "self_attn.q_proj",
        "self_attn.v_proj": "self_attn.q_proj",
        "self_attn.o_proj": "self_attn.o_proj",
        "mlp.gate_proj": "mlp.gate_proj",
        "mlp.up_proj": "mlp.gate_proj",
        "mlp.down_proj": "mlp.down_proj",
    }


def test_the_first_reader_is_the_first_to_run():
    """OPT defines its keys before its queries, and runs them after."""
    config = OPTConfig(
        vocab_size=VOCABULARY, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, ffn_dim=16,
        max_position_embeddings=32, word_embed_proj_dim=16,
    )  # fmt: skip
    signals = Signals(AutoModelForCausalLM.from_config(config).eval())
    order = []
    signals.run(collate(WINDOWS, 0), random_numbers(WINDOWS, 0, 0), lambda layer, *given: order.append(layer))
    firsts = {own.first_reader for name, own in signals.layers.items() if name.endswith(("q_proj", "k_proj", "v_proj"))}
    assert {name.rpartition(".")[2] for name in firsts} == {"q_proj"}
    assert sorted(order) == sorted(signals.layers)


def test_a_bias_of_its_own_keeps_a_layer_from_sharing():
    layers = Signals(tiny_model("qwen2")).layers
    biased = ("q_proj", "k_proj", "v_proj")
    assert all(own.has_bias == name.endswith(biased) for name, own in layers.items())
    assert all(layers[own.first_reader].has_bias == own.has_bias for own in layers.values())


def test_no_hook_stays_behind():
    model = tiny_model("gpt_neox")
    signals = Signals(model)
    for _ in range(2):
        signals.run(collate(WINDOWS, 0), random_numbers(WINDOWS, 0, 0), lambda *given: None)
    assert not any(module._forward_hooks for module in model.modules())
