"""Fitting where memory is short: batches are halved, reported, and the factors are those of the smaller batches."""

import weakref

import pytest
import torch
from runs import Workshop, contents

from ifcurate.corpus.shards import list_shards
from ifcurate.errors import InputError
from ifcurate.influence.curvature import fit as own_passes
from ifcurate.influence.curvature.factors import load_factors
from ifcurate.pipelines.fit import fit
from ifcurate.pipelines.run import create_run
from ifcurate.pipelines.stage_times import read_stages


def fitted(workshop: Workshop, folder, **settings):
    config = workshop.config(out=folder, context=16, **settings)
    shards = list_shards(config.corpus)
    run = create_run(config, shards)
    fit(run, config, shards)
    return run


def short_of_memory(largest: int, monkeypatch: pytest.MonkeyPatch) -> list[weakref.ref]:
    """Fitting fails in the middle for batches larger than that; the models it is given, alone in memory each time."""
    real, models = own_passes.fit_factors, []

    def limited(model, windows, start, folder, batch_tokens, seed, on_batch, ranks):
        assert all(earlier() is None for earlier in models)
        models.append(weakref.ref(model))
        if batch_tokens > largest:
            model.knot = [model]  # a cycle, as hooks make them
            on_batch(1000)
            raise torch.OutOfMemoryError("CUDA out of memory.")
        real(model, windows, start, folder, batch_tokens, seed, on_batch, ranks)

    monkeypatch.setattr(own_passes, "fit_factors", limited)
    return models


@pytest.mark.slow
def test_batches_are_halved_until_fitting_fits(workshop, tmp_path, monkeypatch):
    small = fitted(workshop, tmp_path / "small", batch_tokens=32)
    models = short_of_memory(32, monkeypatch)
    halved = fitted(workshop, tmp_path / "halved", batch_tokens=128)
    (stage,) = read_stages(halved.logs)
    assert stage.counts["halvings"] == len(models) - 1 == 2
    assert stage.counts["computed"] == 2 * stage.counts["tokens"]
    factors = contents(halved, ("factors",))
    assert factors
    assert factors == contents(small, ("factors",))


def test_a_window_on_which_fitting_does_not_fit_is_refused(workshop, tmp_path, monkeypatch):
    short_of_memory(0, monkeypatch)
    with pytest.raises(InputError, match="option --context: fitting on a window of 16 tokens does not fit"):
        fitted(workshop, tmp_path / "run")
    assert not (tmp_path / "run" / "factors").exists()


def test_memory_that_runs_out_whatever_the_batch_is_no_reason_to_halve_it(workshop, tmp_path, monkeypatch):
    tries = []

    def greedy(*given, **named):
        tries.append(given)
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(torch.linalg, "eigh", greedy)
    with pytest.raises(
        InputError, match=r"option --model: the eigenvectors of its curvature do not fit .* smaller model"
    ):
        fitted(workshop, tmp_path / "run")
    assert tries
    assert not (tmp_path / "run" / "factors").exists()


def test_kronfluences_passes_fit_the_same_curvature(workshop, tmp_path):
    ours = fitted(workshop, tmp_path / "ours")
    theirs = fitted(workshop, tmp_path / "theirs", fit_with="kronfluence")
    found, expected = load_factors(ours.factors), load_factors(theirs.factors)
    assert ours.sample.read_text() == theirs.sample.read_text()
    for layer, own in expected.items():
        assert torch.allclose(found[layer].input_values, own.input_values, rtol=1e-4, atol=1e-6)
        assert float(found[layer].eigenvalues.sum()) == pytest.approx(float(own.eigenvalues.sum()), rel=1e-4)
