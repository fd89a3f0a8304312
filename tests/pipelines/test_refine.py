"""A refined direction, as `direct` makes it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import Command
from runs import Workshop

from ifcurate.influence.direction import Direction, load_direction
from ifcurate.influence.refinement import REFINEMENTS
from ifcurate.influence.refinement import refine as loop
from ifcurate.influence.refinement.conjugate_gradient import ConjugateGradient
from ifcurate.pipelines.direct import direct
from ifcurate.pipelines.run import Run
from ifcurate.pipelines.stage_times import read_stages

REFINED = {"refine": "cg", "refine_steps": 4, "refine_tokens": 300}


def begun(finished: Run, folder: Path) -> Run:
    """A run with the finished one's curvature."""
    folder.mkdir(parents=True)
    shutil.copytree(finished.factors, folder / "factors")
    for file in (finished.sample, finished.root / "corpus.json"):
        shutil.copy(file, folder)
    return Run(folder)


def made(workshop: Workshop, finished: Run, folder: Path, **settings: Any) -> Direction:
    run = begun(finished, folder)
    direct(run, workshop.config(out=folder, **settings))
    return load_direction(run.direction("toxic"))


@pytest.mark.parametrize("name", REFINEMENTS)
def test_a_refined_direction_says_how_it_was_found(
    workshop: Workshop, finished: Run, tmp_path: Path, name: str
) -> None:
    found = made(workshop, finished, tmp_path / "run", **{**REFINED, "refine": name})
    plain = load_direction(finished.direction("toxic"))
    facts = found.provenance["refinement"]
    assert (facts["method"], facts["steps"], facts["tokens_a_step"], facts["damping"]) == (name, 4, 300, 1.0)
    assert facts["sample"]["tokens"] >= (300 if REFINEMENTS[name].fixed_sample else 1200)
    assert len(facts["quadratics"]) == (5 if name == "cg" else 4)
    assert found.tensors.keys() == plain.tensors.keys()
    assert not all(torch.allclose(found.tensors[part], tensor) for part, tensor in plain.tensors.items())
    assert "refinement" not in plain.provenance
    (stage,) = [stage for stage in read_stages(Run(tmp_path / "run").logs) if stage.name == "direct"]
    assert stage.counts["refined"] == 4


def test_the_quadratic_falls(workshop: Workshop, finished: Run, tmp_path: Path) -> None:
    quadratics = made(workshop, finished, tmp_path / "run", **REFINED).provenance["refinement"]["quadratics"]
    assert quadratics == sorted(quadratics, reverse=True)
    assert quadratics[-1] < quadratics[0]


def test_a_stopped_refinement_goes_on_to_the_same_direction(
    workshop: Workshop, finished: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = made(workshop, finished, tmp_path / "whole", **REFINED)
    monkeypatch.setattr(loop, "SECONDS_BETWEEN_SAVES", 0)
    real, steps = ConjugateGradient.step, []

    def step(self: ConjugateGradient, state: Any) -> Any:
        steps.append(state.steps)
        if len(steps) == 3:
            raise KeyboardInterrupt
        return real(self, state)

    monkeypatch.setattr(ConjugateGradient, "step", step)
    with pytest.raises(KeyboardInterrupt):
        made(workshop, finished, tmp_path / "run", **REFINED)
    run = Run(tmp_path / "run")
    assert run.refinement("toxic").is_file()
    assert run.behaviours == []
    direct(run, workshop.config(out=run.root, **REFINED))
    assert steps == [0, 1, 2, 2, 3]
    assert run.direction("toxic").read_bytes() == Run(tmp_path / "whole").direction("toxic").read_bytes()
    assert len(expected.tensors) > 0
    assert not run.refinement("toxic").exists()


@pytest.mark.slow
def test_annotate_along_a_refined_direction(workshop: Workshop, tmp_path: Path, command: Command) -> None:
    options = workshop.options(out=tmp_path / "run", refine="cg", refine_steps=2, refine_tokens=200)
    said = command("annotate", *options)
    assert said.code == 0
    assert "refine (cg): step 2 of 2, quadratic" in said.err
    assert load_direction(Run(tmp_path / "run").direction("toxic")).provenance["refinement"]["steps"] == 2
    refused = command("annotate", *workshop.options(out=tmp_path / "run", refine="astra", refine_steps=2))
    assert refused.code == 2
    assert "--refine" in refused.error
