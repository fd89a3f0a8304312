import logging

import pytest
import torch
from kronfluence.utils.save import load_file
from oracles import random_windows
from tiny_models import VOCABULARY, tiny_model

from ifcurate import progress
from ifcurate.errors import InputError
from ifcurate.influence.curvature import fit_factors, hash_factors, join_bias, precondition, split_bias
from ifcurate.model.layers import tracked_parameters


def fit(folder, seed=0, family="gpt_neox"):
    seen = []
    windows = random_windows([20] * 6 + [7] * 5, VOCABULARY, seed=2)
    fit_factors(tiny_model(family), windows, 0, folder, batch_windows=4, seed=seed, on_batch=seen.append)
    return seen


def gradient_of(model, seed=3):
    torch.manual_seed(seed)
    return {name: torch.randn_like(parameter) for name, parameter in tracked_parameters(model).items()}


def test_the_same_seed_fits_the_same_factors_and_another_does_not(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        fit(tmp_path / name, seed)
    assert hash_factors(tmp_path / "a") == hash_factors(tmp_path / "b") != hash_factors(tmp_path / "c")


def test_every_token_is_seen_twice(tmp_path):
    assert sum(fit(tmp_path / "factors")) == 2 * (20 * 6 + 7 * 5)


def test_preconditioning_divides_by_damped_eigenvalues_in_the_eigenbasis(tmp_path):
    fit(tmp_path / "factors")
    gradient = gradient_of(tiny_model("gpt_neox"))
    stored = {
        name: load_file(tmp_path / "factors" / "factors_ekfac" / f"{name}.safetensors")
        for name in ("activation_eigenvectors", "gradient_eigenvectors", "lambda_matrix", "num_lambda_processed")
    }
    damped = precondition(gradient, tmp_path / "factors", 0.5, "cpu")
    heuristic = precondition(gradient, tmp_path / "factors", "heuristic", "cpu")
    layers = [name.removesuffix(".weight") for name in gradient if name.endswith(".weight")]
    for layer in layers:
        left, right = stored["gradient_eigenvectors"][layer].double(), stored["activation_eigenvectors"][layer].double()
        values = stored["lambda_matrix"][layer].double() / stored["num_lambda_processed"][layer]
        rotated = left.T @ join_bias(gradient, layer).double() @ right
        for found, damping in ((damped, 0.5), (heuristic, 0.1 * values.mean())):
            expected = left @ (rotated / (values + damping)) @ right.T
            assert torch.allclose(
                join_bias(found, layer).double(), expected, rtol=1e-3, atol=1e-4 * expected.abs().max()
            )


def test_what_takes_long_says_so_layer_by_layer(tmp_path, caplog, monkeypatch):
    caplog.set_level(logging.INFO, "ifcurate")
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0)
    fit(tmp_path / "factors")
    gradient = gradient_of(tiny_model("gpt_neox"))
    layers = sum(name.endswith(".weight") for name in gradient)
    assert f"eigenvectors of {layers} layers" in caplog.text
    precondition(gradient, tmp_path / "factors", 0.5, "cpu")
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


def test_an_interrupted_fit_leaves_no_factors(tmp_path):
    class StopError(Exception):
        pass

    def stop(tokens: int) -> None:
        raise StopError

    with pytest.raises(StopError):
        fit_factors(tiny_model("llama"), random_windows([9] * 4, VOCABULARY), 0, tmp_path / "factors", 2, 0, stop)
    assert not (tmp_path / "factors").exists()
    fit(tmp_path / "factors", family="llama")
    fit(tmp_path / "undisturbed", family="llama")
    assert hash_factors(tmp_path / "factors") == hash_factors(tmp_path / "undisturbed")


def test_damaged_or_foreign_factors_are_refused(tmp_path):
    fit(tmp_path / "factors")
    with pytest.raises(InputError, match="no factors for layer"):
        precondition(gradient_of(tiny_model("llama")), tmp_path / "factors", 0.1, "cpu")
    (tmp_path / "factors" / "factors_ekfac" / "lambda_matrix.safetensors").write_bytes(b"not tensors")
    with pytest.raises(InputError, match="factors cannot be read"):
        precondition(gradient_of(tiny_model("gpt_neox")), tmp_path / "factors", 0.1, "cpu")
