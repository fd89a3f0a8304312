import logging

import pytest
import torch
from kronfluence.arguments import ScoreArguments
from kronfluence.factor.config import FactorConfig
from kronfluence.factor.eigen import load_eigendecomposition, load_lambda_matrices
from oracles import random_windows
from tiny_models import VOCABULARY, tiny_model

from ifcurate import progress
from ifcurate.errors import InputError
from ifcurate.influence.curvature.factors import STRATEGY, factors_folder, load_factors
from ifcurate.influence.curvature.fit import fit_factors
from ifcurate.influence.curvature.inverse import join_bias, layer_dampings, precondition, split_bias
from ifcurate.model.layers import tracked_parameters


@pytest.fixture
def folder(tmp_path):
    windows = random_windows([20] * 6 + [7] * 5, VOCABULARY, seed=2)
    fit_factors(tiny_model("gpt_neox"), windows, 0, tmp_path / "factors", 80, seed=0)
    return tmp_path / "factors"


def gradient_of(model, seed=3):
    torch.manual_seed(seed)
    return {name: torch.randn_like(parameter) for name, parameter in tracked_parameters(model).items()}


@pytest.mark.parametrize("damping", [0.5, "heuristic"])
def test_preconditioning_is_kronfluences_arithmetic(folder, damping):
    gradient = gradient_of(tiny_model("gpt_neox"))
    stored = {**load_eigendecomposition(factors_folder(folder)), **load_lambda_matrices(factors_folder(folder))}
    config = FactorConfig.CONFIGS[STRATEGY]
    arguments = ScoreArguments(damping_factor=None if damping == "heuristic" else damping)
    found = precondition(gradient, folder, damping, "cpu")
    for layer in load_factors(folder):
        storage = {name: by_layer[layer] for name, by_layer in stored.items()}
        config.prepare(storage, arguments, torch.device("cpu"))
        expected = config.precondition_gradient(join_bias(gradient, layer), storage)
        assert torch.allclose(join_bias(found, layer), expected, rtol=1e-4, atol=1e-5 * expected.abs().max())


@pytest.mark.parametrize("damping", [0.5, "heuristic"])
def test_preconditioning_divides_by_damped_eigenvalues_in_the_eigenbasis(folder, damping):
    gradient = gradient_of(tiny_model("gpt_neox"))
    factors = load_factors(folder)
    found = precondition(gradient, folder, damping, "cpu")
    for layer, own in factors.items():
        left, right = own.gradient_vectors.double(), own.input_vectors.double()
        values = own.eigenvalues.double() / own.windows
        added = 0.1 * values.mean() if damping == "heuristic" else damping
        assert layer_dampings(factors, damping)[layer] == pytest.approx(float(added))
        expected = left @ ((left.T @ join_bias(gradient, layer).double() @ right) / (values + added)) @ right.T
        assert torch.allclose(join_bias(found, layer).double(), expected, rtol=1e-3, atol=1e-4 * expected.abs().max())


def test_only_leading_eigenvectors_are_kept(folder):
    gradient = gradient_of(tiny_model("gpt_neox"))
    whole, found = (precondition(gradient, folder, 0.5, "cpu", leading) for leading in (1.0, 0.25))
    for layer, own in load_factors(folder).items():
        left, right = own.gradient_vectors.double(), own.input_vectors.double()
        inside, all_of = (left.T @ join_bias(each, layer).double() @ right for each in (found, whole))
        values = own.eigenvalues.flatten()
        order = values.argsort(descending=True)
        kept = -(-len(values) // 4)
        equal = values == values[order[kept - 1]]
        leading = (values > values[order[kept - 1]]) | equal
        assert int(leading.sum()) >= kept > int(leading.sum()) - int(equal.sum())
        expected = torch.where(leading.view_as(all_of), all_of, 0)
        assert torch.allclose(inside, expected, rtol=1e-3, atol=1e-4 * all_of.abs().max())


def test_what_takes_long_says_so_layer_by_layer(folder, caplog, monkeypatch):
    caplog.set_level(logging.INFO, "ifcurate")
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0)
    gradient = gradient_of(tiny_model("gpt_neox"))
    layers = sum(name.endswith(".weight") for name in gradient)
    precondition(gradient, folder, 0.5, "cpu")
    lines = [message for message in caplog.messages if message.startswith("precondition: ")]
    assert len(lines) == layers
    assert lines[-1].startswith(f"precondition: 100.0%, {layers} layers")


def test_weight_and_bias_are_joined_and_split_without_loss():
    gradient = gradient_of(tiny_model("gpt_neox"))
    layer = next(name for name in gradient if name.endswith(".bias")).removesuffix(".bias")
    matrix = join_bias(gradient, layer)
    assert matrix.shape[1] == gradient[f"{layer}.weight"].shape[1] + 1
    for name, tensor in split_bias(matrix, layer, has_bias=True).items():
        assert torch.equal(tensor, gradient[name])


def test_damaged_or_foreign_factors_are_refused(folder):
    with pytest.raises(InputError, match="no factors for layer"):
        precondition(gradient_of(tiny_model("llama")), folder, 0.1, "cpu")
    (factors_folder(folder) / "lambda_matrix.safetensors").write_bytes(b"not tensors")
    with pytest.raises(InputError, match=r"lambda_matrix\.safetensors: is not what was written"):
        precondition(gradient_of(tiny_model("gpt_neox")), folder, 0.1, "cpu")
    (factors_folder(folder) / "checksums.json").unlink()  # as where Kronfluence itself has written
    with pytest.raises(InputError, match="factors cannot be read"):
        precondition(gradient_of(tiny_model("gpt_neox")), folder, 0.1, "cpu")
