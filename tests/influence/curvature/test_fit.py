"""Our passes against Kronfluence's: same windows, same sampled labels, same factors.

Of two windows only a part of the tokens carry a loss, as in an overlap; the gradient flows through all of them.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from kronfluence.utils.save import load_file
from oracles import random_windows
from tiny_models import FAMILIES, VOCABULARY, tiny_model

from ifcurate.errors import InputError
from ifcurate.influence.curvature import through_kronfluence
from ifcurate.influence.curvature.factors import factors_folder, hash_factors, load_factors
from ifcurate.influence.curvature.fit import GRADIENTS, INPUTS, fit_covariances, fit_eigenvalues, fit_factors
from ifcurate.influence.curvature.inverse import precondition
from ifcurate.influence.curvature.signals import Signals
from ifcurate.model.layers import tracked_parameters
from ifcurate.model.windows import Window

WINDOWS = random_windows([20] * 6 + [7] * 5 + [1, 63], VOCABULARY, seed=2)
WINDOWS[1] = replace(WINDOWS[1], scored=np.arange(20) >= 8)
WINDOWS[12] = replace(WINDOWS[12], scored=np.arange(63) % 3 > 0)
TOKENS = 20 * 6 + 7 * 5 + 1 + 63


def fit(folder, seed=0, family="gpt_neox", windows=WINDOWS, batch_tokens=80):
    seen = []
    fit_factors(tiny_model(family), windows, 0, folder, batch_tokens, seed, seen.append)
    return seen


def differ(found, expected):
    """Frobenius, relative."""
    return float((found.double() - expected.double()).norm() / expected.double().norm())


@pytest.fixture(params=FAMILIES)
def both(request, tmp_path):
    """A family, and the folder in which `ours` and `theirs` lie."""
    fit(tmp_path / "ours", family=request.param)
    through_kronfluence.fit_factors(tiny_model(request.param), WINDOWS, 0, tmp_path / "theirs", 80, 0)
    return request.param, tmp_path


def test_covariances_are_kronfluences(both):
    family, folder = both
    signals = Signals(tiny_model(family))
    found = fit_covariances(signals, [WINDOWS[:5], WINDOWS[5:]], 0, 0, lambda tokens: None)
    stored = {
        name: load_file(factors_folder(folder / "theirs") / f"{name}_covariance.safetensors")
        for name in ("activation", "gradient")
    }
    assert found.tokens == TOKENS
    for layer, own in signals.layers.items():
        assert differ(found.inputs[own.first_reader], stored["activation"][layer]) < 1e-5
        assert differ(found.gradients[layer], stored["gradient"][layer]) < 1e-5


def test_corrected_eigenvalues_in_kronfluences_basis_are_kronfluences(both):
    family, folder = both
    theirs = load_factors(folder / "theirs")
    signals = Signals(tiny_model(family))
    basis = {
        INPUTS: {layer: (own.input_values, own.input_vectors) for layer, own in theirs.items()},
        GRADIENTS: {layer: (own.gradient_values, own.gradient_vectors) for layer, own in theirs.items()},
    }
    found = fit_eigenvalues(signals, [WINDOWS[:5], WINDOWS[5:]], 0, 0, basis, lambda tokens: None)
    assert found.windows == len(WINDOWS)
    for layer, own in theirs.items():
        assert own.windows == len(WINDOWS)
        assert differ(found.sums[layer], own.eigenvalues) < 1e-5


def test_the_inverse_times_a_gradient_is_kronfluences(both):
    family, folder = both
    torch.manual_seed(3)
    gradient = {name: torch.randn_like(parameter) for name, parameter in tracked_parameters(tiny_model(family)).items()}
    ours, theirs = (precondition(gradient, folder / name, "heuristic", "cpu") for name in ("ours", "theirs"))
    assert set(ours) == set(gradient)
    for name in gradient:
        assert differ(ours[name], theirs[name]) < 1e-4


def test_batches_and_order_of_windows_change_nothing_but_rounding(tmp_path):
    fit(tmp_path / "a")
    fit(tmp_path / "b", windows=WINDOWS[::-1], batch_tokens=30)
    ours, others = load_factors(tmp_path / "a"), load_factors(tmp_path / "b")
    for layer, own in ours.items():
        for field in ("input_values", "gradient_values"):
            assert differ(getattr(others[layer], field), getattr(own, field)) < 1e-5
        assert float(others[layer].eigenvalues.sum()) == pytest.approx(float(own.eigenvalues.sum()), rel=1e-5)


def test_the_same_seed_fits_the_same_factors_and_another_does_not(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        fit(tmp_path / name, seed)
    assert hash_factors(tmp_path / "a") == hash_factors(tmp_path / "b") != hash_factors(tmp_path / "c")


def test_every_token_is_seen_twice(tmp_path):
    assert sum(fit(tmp_path / "factors")) == 2 * TOKENS


def test_windows_of_one_document_have_labels_of_their_own(tmp_path):
    twice = [Window(0, first, WINDOWS[0].token_ids) for first in (0, 20)]
    fit(tmp_path / "two", windows=twice)
    fit(tmp_path / "one", windows=twice[:1])
    two, one = load_factors(tmp_path / "two"), load_factors(tmp_path / "one")
    layer = next(iter(one))
    assert differ(two[layer].input_values, one[layer].input_values) < 1e-5
    assert differ(two[layer].gradient_values, one[layer].gradient_values) > 0.1


def test_an_interrupted_fit_leaves_no_factors(tmp_path):
    class StopError(Exception):
        pass

    def stop(tokens: int) -> None:
        raise StopError

    with pytest.raises(StopError):
        fit_factors(tiny_model("llama"), random_windows([9] * 4, VOCABULARY), 0, tmp_path / "factors", 18, 0, stop)
    assert not (tmp_path / "factors").exists()
    fit(tmp_path / "factors", family="llama")
    fit(tmp_path / "undisturbed", family="llama")
    assert hash_factors(tmp_path / "factors") == hash_factors(tmp_path / "undisturbed")


def test_outputs_that_are_not_finite_are_refused(tmp_path):
    model = tiny_model("gpt_neox")
    with torch.no_grad():
        model.get_output_embeddings().weight[3, 3] = torch.nan
    with pytest.raises(InputError, match="option --model: its outputs are NaN or infinite"):
        fit_factors(model, WINDOWS, 0, tmp_path / "factors", 80, 0)
    assert list(tmp_path.iterdir()) == []
