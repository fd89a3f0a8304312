"""Opened experts: what they compute, what is heard of them, and the factors that come of it."""

import pytest
import torch
from oracles import random_windows
from tiny_models import EXPERT_FAMILIES, VOCABULARY, tiny_model

from ifcurate.influence.curvature import through_kronfluence
from ifcurate.influence.curvature.factors import load_factors
from ifcurate.influence.curvature.fit import GRADIENTS, INPUTS, fit_eigenvalues, fit_factors
from ifcurate.influence.curvature.idle import idle_layers, idle_sentence, without
from ifcurate.influence.curvature.opened import open_experts, spread_experts
from ifcurate.influence.curvature.sampled_labels import random_numbers, sample_labels
from ifcurate.influence.curvature.signals import Signals
from ifcurate.model.experts import ExpertLayout
from ifcurate.model.layers import tracked_linears, tracked_parameters
from ifcurate.model.windows import collate

WINDOWS = random_windows([9, 4], VOCABULARY)
SAMPLE = random_windows([20] * 4 + [7] * 3 + [1], VOCABULARY, seed=2)


@pytest.mark.parametrize("opened_by", [open_experts, spread_experts])
@pytest.mark.parametrize("family", EXPERT_FAMILIES)
def test_an_opened_model_computes_the_same(family, opened_by):
    model, ids = tiny_model(family).double(), collate(WINDOWS, 0).input_ids
    with torch.no_grad():
        expected = model(input_ids=ids).logits
        opened_by(model)
        assert torch.allclose(model(input_ids=ids).logits, expected, rtol=1e-9, atol=1e-12)
    experts = [name for name in tracked_linears(model) if ".experts." in name]
    assert len(experts) == 2 * 6 * 2


@pytest.mark.parametrize("family", EXPERT_FAMILIES)
def test_inputs_and_gradients_make_the_gradient_of_every_expert(family):
    model = tiny_model(family).double()
    batch, numbers = collate(WINDOWS, 0), random_numbers(WINDOWS, 0, 0)
    parameters = tracked_parameters(model)
    for parameter in parameters.values():
        parameter.requires_grad_(True)
    logits = model(input_ids=batch.input_ids, use_cache=False).logits[batch.mask]
    labels = sample_labels(logits.detach(), numbers[batch.mask])
    loss = torch.nn.functional.cross_entropy(logits, labels, reduction="sum")
    gradients = dict(zip(parameters, torch.autograd.grad(loss, list(parameters.values())), strict=True))
    expected = ExpertLayout(model).open(gradients)

    found = {}

    def on_signals(layer, inputs, slopes, lengths):
        assert sum(lengths) == len(inputs) == len(slopes)
        found[f"{layer}.weight"] = slopes.T @ inputs
        found[f"{layer}.bias"] = slopes.sum(0)

    Signals(model).run(batch, numbers, on_signals)
    for name, gradient in expected.items():
        if name in found:
            assert torch.allclose(found[name], gradient, rtol=1e-8, atol=1e-12), name
        else:
            assert ".experts." in name
            assert not gradient.any()


def differ(found, expected):
    return float((found.double() - expected.double()).norm() / expected.double().norm())


@pytest.mark.parametrize("family", ["olmoe", "gpt_oss"])
def test_corrected_eigenvalues_in_kronfluences_basis_are_kronfluences(family, tmp_path):
    through_kronfluence.fit_factors(tiny_model(family), SAMPLE, 0, tmp_path / "theirs", 80, 0)
    theirs = load_factors(tmp_path / "theirs")
    signals = Signals(tiny_model(family))
    assert theirs.keys() == signals.layers.keys()
    basis = {
        INPUTS: {layer: (own.input_values, own.input_vectors) for layer, own in theirs.items()},
        GRADIENTS: {layer: (own.gradient_values, own.gradient_vectors) for layer, own in theirs.items()},
    }
    found = fit_eigenvalues(signals, [SAMPLE[:4], SAMPLE[4:]], 0, 0, basis, lambda tokens: None)
    idle = idle_layers(theirs, ExpertLayout(tiny_model(family)))
    assert idle == set(theirs) - set(found.sums)
    for layer, sums in found.sums.items():
        assert differ(sums, theirs[layer].eigenvalues) < 1e-4, layer


def test_idle_experts_are_named(tmp_path):
    model = tiny_model("mixtral")
    layout = ExpertLayout(model)
    few = random_windows([2], VOCABULARY)
    fit_factors(tiny_model("mixtral"), few, 0, tmp_path / "factors", 80, 0)
    factors = load_factors(tmp_path / "factors")
    idle = idle_layers(factors, layout)
    assert idle == set(layout.layers) - set(factors) != set()
    assert all(f"{layer.rpartition('.')[0]}.down_proj" in idle for layer in idle)
    numbers = sorted({int(layer.split(".")[5]) for layer in idle if layer.startswith("model.layers.0.")})
    named = f"model.layers.0.mlp.experts: {', '.join(map(str, numbers))} ({len(numbers)} of 6)"
    assert named in idle_sentence(idle, layout)
    left = without(layout.open(tracked_parameters(model)), idle)
    assert {name.rpartition(".")[0] for name in left} == {*factors}
