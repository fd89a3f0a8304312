"""Fitting where memory is short: batches are halved, reported, and the factors are those of the smaller batches."""

import weakref

import pytest
import torch
from kronfluence.analyzer import Analyzer
from runs import Workshop, contents

from ifcurate.corpus.shards import list_shards
from ifcurate.errors import InputError
from ifcurate.pipelines import fit as module
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
    real, models = module.fit_factors, []

    def limited(model, windows, start, folder, batch_windows, seed, on_batch):
        assert all(earlier() is None for earlier in models)
        models.append(weakref.ref(model))
        if batch_windows > largest:
            model.knot = [model]  # a cycle, as hooks make them
            on_batch(1000)
            raise torch.OutOfMemoryError("CUDA out of memory.")
        real(model, windows, start, folder, batch_windows, seed, on_batch)

    monkeypatch.setattr(module, "fit_factors", limited)
    return models


@pytest.mark.slow
def test_batches_are_halved_until_fitting_fits(workshop, tmp_path, monkeypatch):
    small = fitted(workshop, tmp_path / "small", batch_tokens=32)
    models = short_of_memory(2, monkeypatch)
    halved = fitted(workshop, tmp_path / "halved", batch_tokens=128)
    (stage,) = read_stages(halved.logs)
    assert stage.counts["halvings"] == len(models) - 1 == 2
    assert stage.counts["computed"] == module.PASSES * stage.counts["tokens"]
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

    monkeypatch.setattr(Analyzer, "perform_eigendecomposition", greedy)
    with pytest.raises(
        InputError, match=r"option --model: the eigenvectors of its curvature do not fit .* smaller model"
    ):
        fitted(workshop, tmp_path / "run")
    assert len(tries) == 1
    assert not (tmp_path / "run" / "factors").exists()
