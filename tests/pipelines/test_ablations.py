"""Directions of influence with a part left out: the contrast, or the curvature."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import Workshop

from ifcurate.corpus.shards import known, list_shards
from ifcurate.errors import InputError
from ifcurate.influence.direction import Direction, load_direction
from ifcurate.influence.query_sets import pull, read_query_sets
from ifcurate.model.checkpoints import load_causal_lm, load_tokenizer
from ifcurate.pipelines.direct import direct
from ifcurate.pipelines.run import Run, create_run
from ifcurate.selection.scores import sidecar_metadata
from ifcurate.selection.table import Selection


def directed(workshop: Workshop, finished: Run, out: Path, **changes: Any) -> Direction:
    """The direction of a run with the factors of a finished one."""
    config = workshop.config(out=out, budget=None, quantile=None, **changes)
    run = create_run(config, [known(shard) for shard in list_shards(config.corpus)])
    if config.has_curvature:
        shutil.copytree(finished.factors, run.factors)
        shutil.copy(finished.sample, run.sample)
    direct(run, config)
    return load_direction(run.direction("toxic"))


def test_naive_directions_differ_by_that_with_a_contrast(workshop: Workshop, finished: Run, tmp_path: Path) -> None:
    alone = [
        directed(
            workshop, finished, tmp_path / side, by="naive", queries=workshop.root / f"{side}.jsonl", contrast=None
        )
        for side in ("toxic", "safe")
    ]
    both = load_direction(finished.direction("toxic"))
    assert [sorted(each) for each in alone[0].provenance["queries"]] == [["behaviour"]]
    for name, tensor in both.tensors.items():
        difference = alone[0].tensors[name] - alone[1].tensors[name]
        assert torch.allclose(difference, tensor, rtol=1e-3, atol=1e-4 * float(tensor.abs().max()))
    signed = tmp_path / "signed.jsonl"
    signed.write_text('{"text": "vile", "weight": 1}\n{"text": "kind", "weight": -1}\n')
    with pytest.raises(InputError, match="has queries of negative weight"):
        directed(workshop, finished, tmp_path / "x", by="naive", queries=signed, contrast=None)


def test_identity_is_the_gradient_itself(workshop: Workshop, finished: Run, tmp_path: Path) -> None:
    found = directed(workshop, finished, tmp_path / "run", by="identity", fit_tokens=None)
    model, tokenizer = (load(str(workshop.root / "model")) for load in (load_causal_lm, load_tokenizer))
    (query_set,) = read_query_sets(workshop.config(), 0)
    expected = pull(query_set, model, tokenizer, found.provenance["context"], 4096, "token").tensors
    assert found.tensors.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.allclose(found.tensors[name], tensor, rtol=1e-4, atol=1e-6 * float(tensor.abs().max()))
    assert found.provenance["curvature"] == "none" and "factors_hash" not in found.provenance


def test_lowrank_says_how_much_of_the_curvature_it_keeps(workshop: Workshop, finished: Run, tmp_path: Path) -> None:
    found = directed(workshop, finished, tmp_path / "run", by="lowrank", leading=0.1)
    whole = load_direction(finished.direction("toxic"))
    assert found.provenance["leading"] == 0.1 and "leading" not in whole.provenance
    assert found.provenance["factors_hash"] == whole.provenance["factors_hash"]
    assert all(found.tensors[name].norm() < tensor.norm() for name, tensor in whole.tensors.items())


def test_a_run_without_contrast_says_what_it_is(workshop: Workshop, tmp_path: Path) -> None:
    run = workshop.annotate(by="naive", contrast=None, budget="3%", quantile=None, out=tmp_path / "run")
    said = sidecar_metadata(run.scores / "part-000.parquet")
    assert said.method == "derivative of its loss along the direction of the queries alone, without a contrast"
    assert said.directions["toxic"].direction_hash and said.histograms
    selection = Selection.load(run.selection, "toxic")
    assert (selection.rank_by, selection.neighbours, selection.shortfall) == ("token", 0, 0)
    card = (run.root / "README.md").read_text(encoding="utf-8")
    assert said.method in card and "with its influence on" not in card
