"""Fitting where memory is short: batches are halved, reported, and the factors are those of the smaller batches."""

import pytest
import torch
from runs import Workshop, contents

from ifcurate.errors import InputError
from ifcurate.pipelines import fit as module
from ifcurate.pipelines.fit import fit
from ifcurate.pipelines.stage_times import read_stages
from ifcurate.run import create_run
from ifcurate.shards import list_shards


def fitted(workshop: Workshop, folder, **settings):
    config = workshop.config(out=folder, context=16, **settings)
    shards = list_shards(config.corpus)
    run = create_run(config, shards)
    fit(run, config, shards)
    return run


def short_of_memory(largest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    real = module.fit_factors

    def limited(model, windows, start, folder, batch_windows, *rest):
        if batch_windows > largest:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        real(model, windows, start, folder, batch_windows, *rest)

    monkeypatch.setattr(module, "fit_factors", limited)


def test_batches_are_halved_until_fitting_fits(workshop, tmp_path, monkeypatch):
    small = fitted(workshop, tmp_path / "small", batch_tokens=32)
    short_of_memory(2, monkeypatch)
    halved = fitted(workshop, tmp_path / "halved", batch_tokens=128)
    (stage,) = read_stages(halved.logs)
    assert stage.counts["halvings"] == 2
    factors = contents(halved, ("factors",))
    assert factors
    assert factors == contents(small, ("factors",))


def test_a_window_on_which_fitting_does_not_fit_is_refused(workshop, tmp_path, monkeypatch):
    short_of_memory(0, monkeypatch)
    with pytest.raises(InputError, match="option --context: fitting on a window of 16 tokens does not fit"):
        fitted(workshop, tmp_path / "run")
    assert not (tmp_path / "run" / "factors").exists()
