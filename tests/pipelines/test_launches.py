"""`fit` and `direct` under torchrun: two processes share the work out and come to what one comes to."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import pytest
import torch
from commands import Command
from launches import in_two_processes
from runs import Workshop

from ifcurate.cli import main
from ifcurate.influence.curvature.factors import load_factors
from ifcurate.influence.curvature.inverse import precondition
from ifcurate.influence.direction import load_direction
from ifcurate.model.ranks import LAUNCH
from ifcurate.pipelines.run import Run


def run_commands(*commands: list[str]) -> None:
    for words in commands:
        sys.argv = ["ifcurate", "--quiet", *words]
        with contextlib.suppress(SystemExit):
            main()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="forks processes that have imported torch")
def test_two_processes_give_the_factors_and_the_direction_of_one(
    workshop: Workshop, finished: Run, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    given = {"out": out, "batch_tokens": 64}
    words = workshop.options(**given, queries=None, contrast=None, workers=None, budget=None, quantile=None)
    queries = ["--queries", str(workshop.root / "toxic.jsonl"), "--contrast", str(workshop.root / "safe.jsonl")]
    commands = ["fit", *words], ["direct", str(out), *queries]
    said = in_two_processes(lambda: run_commands(*commands), tmp_path / "said.txt")
    assert said.splitlines() == [f"factors: {out}/factors", f"direction: {out}/direction/toxic.safetensors"]

    one, two = load_factors(finished.factors), load_factors(out / "factors")
    assert one.keys() == two.keys()
    generator = torch.Generator().manual_seed(0)
    gradient = {
        f"{layer}.weight": torch.randn(own.eigenvalues.shape, generator=generator) for layer, own in one.items()
    }
    solved = [precondition(gradient, folder, "heuristic", "cpu") for folder in (finished.factors, out / "factors")]
    assert apart(*solved) < 1e-5
    found = [load_direction(run.direction("toxic")) for run in (finished, Run(out))]
    assert apart(*(direction.tensors for direction in found)) < 1e-5
    assert found[0].provenance["queries"] == found[1].provenance["queries"]
    assert found[0].provenance["sample"] == found[1].provenance["sample"]


def test_a_command_that_knows_no_launch_is_refused(
    workshop: Workshop, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = workshop.options(out=tmp_path / "run")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert (
        command("annotate", *words).error
        == "ifcurate annotate: the processes of a launch cannot share it out; start it once, alone."
    )
    assert not (tmp_path / "run").exists()


def test_half_of_a_launch_is_refused(
    workshop: Workshop, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in LAUNCH:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WORLD_SIZE", "2")
    words = workshop.options(
        out=tmp_path / "run", queries=None, contrast=None, workers=None, budget=None, quantile=None
    )
    said = "WORLD_SIZE is 2, but RANK is not set; start this with torchrun, or unset WORLD_SIZE."
    assert command("fit", *words).error == said
    assert not (tmp_path / "run").exists()


def apart(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> float:
    """Relative, Euclidean."""
    moved = sum(float((one[name] - two[name]).double().square().sum()) for name in one)
    return float((moved / sum(float(tensor.double().square().sum()) for tensor in one.values())) ** 0.5)
