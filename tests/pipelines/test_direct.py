"""Directions of soft queries and of several query sets."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import Command
from runs import KIND, RUDE, Workshop, write_queries

from ifcurate.errors import InputError
from ifcurate.influence.direction import Direction, load_direction
from ifcurate.pipelines.direct import direct
from ifcurate.pipelines.run import Run


def made(workshop: Workshop, finished: Run, folder: Path, **queries: Any) -> Direction:
    """The direction of other queries with the finished run's curvature."""
    folder.mkdir(parents=True)
    shutil.copytree(finished.factors, folder / "factors")
    shutil.copy(finished.sample, folder)
    run = Run(folder)
    direct(run, workshop.config(out=folder, **queries))
    return load_direction(run.direction("toxic"))


def rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_one_file_of_signs_gives_the_direction_of_two(workshop: Workshop, finished: Run, tmp_path: Path) -> None:
    signed = tmp_path / "signed.jsonl"
    toxic, safe = rows(workshop.root / "toxic.jsonl"), rows(workshop.root / "safe.jsonl")
    weighed = [{**row, "weight": 1} for row in toxic] + [{**row, "weight": -1} for row in safe]
    signed.write_text("".join(json.dumps(row) + "\n" for row in weighed))
    found = made(workshop, finished, tmp_path / "run", queries=signed, contrast=None)
    expected = load_direction(finished.direction("toxic"))
    assert all(torch.equal(found.tensors[name], tensor) for name, tensor in expected.tensors.items())
    (facts,) = found.provenance["queries"]
    assert facts["behaviour"]["queries"] == 24
    assert facts["behaviour"]["weights"] == {"positive": 12.0, "negative": -12.0, "zero": 0}
    hashes = {one["hash"] for file in expected.provenance["queries"] for one in file.values()}
    assert facts["behaviour"]["hash"] not in hashes


def test_several_sets_give_the_mean_of_their_directions(workshop: Workshop, finished: Run, tmp_path: Path) -> None:
    other = str(write_queries(tmp_path / "other.jsonl", RUDE[:2], count=5))
    calm = str(write_queries(tmp_path / "calm.jsonl", KIND[:3], count=7))
    toxic, safe = str(workshop.root / "toxic.jsonl"), str(workshop.root / "safe.jsonl")
    alone = made(workshop, finished, tmp_path / "alone", queries=other, contrast=calm)
    both = made(workshop, finished, tmp_path / "both", queries=[toxic, other], contrast=[safe, calm])
    first = load_direction(finished.direction("toxic"))
    for name, tensor in both.tensors.items():
        mean = (first.tensors[name].double() + alone.tensors[name].double()) / 2
        assert float((tensor.double() - mean).norm()) <= 1e-6 * float(mean.norm())
    assert both.provenance["queries"] == first.provenance["queries"] + alone.provenance["queries"]


def test_a_changed_set_is_noticed(workshop: Workshop, finished: Run, tmp_path: Path) -> None:
    other, toxic = write_queries(tmp_path / "other.jsonl", RUDE[:2]), str(workshop.root / "toxic.jsonl")
    sets = {"queries": [toxic, str(other)], "contrast": [str(workshop.root / "safe.jsonl")] * 2}
    made(workshop, finished, tmp_path / "run", **sets)
    config = workshop.config(out=tmp_path / "run", **sets)
    direct(Run(tmp_path / "run"), config)
    other.write_text("".join(json.dumps({**row, "weight": 2}) + "\n" for row in rows(other)))
    with pytest.raises(InputError, match=r"other\.jsonl: changed since"):
        direct(Run(tmp_path / "run"), config)


def test_sets_are_given_by_repeating_the_options(workshop: Workshop, tmp_path: Path, command: Command) -> None:
    options = workshop.options(out=tmp_path / "run")
    said = command("annotate", *options, "--queries", workshop.root / "toxic.jsonl").error
    assert "option --contrast: 1 given for 2 of --queries" in said
    assert not (tmp_path / "run").exists()
