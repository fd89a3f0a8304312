import logging

import pytest
import torch
from kronfluence.analyzer import Analyzer
from oracles import random_windows
from tiny_models import VOCABULARY, tiny_model

from ifcurate.errors import InputError
from ifcurate.influence.curvature.factors import hash_factors
from ifcurate.influence.curvature.through_kronfluence import fit_factors

WINDOWS = random_windows([20] * 6 + [7] * 5, VOCABULARY, seed=2)


def fit(folder, seed=0):
    seen = []
    fit_factors(tiny_model("gpt_neox"), WINDOWS, 0, folder, 80, seed, seen.append)
    return seen


def test_the_same_seed_fits_the_same_factors_and_another_does_not(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        assert sum(fit(tmp_path / name, seed)) == 2 * (20 * 6 + 7 * 5)
    assert hash_factors(tmp_path / "a") == hash_factors(tmp_path / "b") != hash_factors(tmp_path / "c")


def test_it_says_what_takes_long(tmp_path, caplog):
    caplog.set_level(logging.INFO, "ifcurate")
    fit(tmp_path / "factors")
    assert "eigenvectors of 8 layers" in caplog.text


def test_memory_that_runs_out_whatever_the_batch_is_refused(tmp_path, monkeypatch):
    def greedy(*given, **named):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(Analyzer, "perform_eigendecomposition", greedy)
    with pytest.raises(InputError, match="option --model: the eigenvectors of its curvature do not fit"):
        fit(tmp_path / "factors")
    assert list(tmp_path.iterdir()) == []
