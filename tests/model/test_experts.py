import pytest
import torch
from tiny_models import EXPERT_FAMILIES, VOCABULARY, tiny_model

from ifcurate.model.experts import ExpertLayout, dispatch
from ifcurate.model.layers import tracked_parameters


@pytest.mark.parametrize("family", EXPERT_FAMILIES)
def test_experts_in_turn_compute_what_transformers_does(family):
    model = tiny_model(family).double()
    ids = torch.randint(VOCABULARY, (2, 11), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        ours = model(input_ids=ids).logits
        model.set_experts_implementation("eager")
        theirs = model(input_ids=ids).logits
    assert torch.allclose(ours, theirs, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("family", EXPERT_FAMILIES)
def test_opened_tensors_are_laid_back(family):
    model = tiny_model(family)
    layout, parameters = ExpertLayout(model), tracked_parameters(model)
    opened = layout.open(parameters)
    assert opened["model.layers.0.mlp.experts.5.gate_up_proj.weight"].shape == (48, 32)
    assert opened["model.layers.1.mlp.experts.0.down_proj.weight"].shape == (32, 24)
    assert set(layout.layers) == {name.rpartition(".")[0] for name in opened if ".experts." in name}
    again = layout.lay_back(opened, parameters)
    assert list(again) == list(parameters)
    assert all(torch.equal(again[name], parameter) for name, parameter in parameters.items())


def test_layers_that_are_missing_are_zero():
    model = tiny_model("mixtral")
    layout, parameters = ExpertLayout(model), tracked_parameters(model)
    opened = layout.open(parameters)
    del opened["model.layers.0.mlp.experts.2.down_proj.weight"]
    found = layout.lay_back(opened, parameters)["model.layers.0.mlp.experts.down_proj"]
    kept = [0, 1, 3, 4, 5]
    assert not found[2].any()
    assert torch.equal(found[kept], model.model.layers[0].mlp.experts.down_proj[kept])


def test_a_dense_model_has_nothing_to_open():
    model = tiny_model("llama")
    parameters = tracked_parameters(model)
    assert ExpertLayout(model).open(parameters) == parameters


def test_every_token_gets_the_weighted_sum_of_the_experts_it_chose():
    torch.manual_seed(0)
    hidden, weights = torch.randn(7, 3), torch.rand(7, 2)
    chosen = torch.tensor([[0, 2], [2, 0], [1, 2], [3, 1], [0, 3], [2, 3], [0, 1]])
    found = dispatch(hidden, chosen, weights, 3, lambda number, rows: (number + 1) * hidden[rows])
    scale = torch.tensor([1.0, 2.0, 3.0, 0.0])  # 3 is no expert
    assert torch.allclose(found, hidden * (weights * scale[chosen]).sum(1, keepdim=True))
