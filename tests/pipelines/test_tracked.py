"""Every command that makes or follows a direction says how much of the model it is over."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import Command
from runs import Workshop, contents
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from ifcurate.errors import InputError
from ifcurate.influence.direction import Direction, load_direction, save_direction
from ifcurate.model.layers import IDLE
from ifcurate.pipelines.annotate import annotate
from ifcurate.pipelines.run import Run
from ifcurate.pipelines.tracked import say_tracked

SAID = "influence is over "


def copied(run: Run, folder: Path, *without: str) -> Run:
    shutil.copytree(run.root, folder, ignore=shutil.ignore_patterns(*without))
    return Run(folder)


def sentences(text: str) -> list[str]:
    return [line for line in text.splitlines() if SAID in line]


def test_stages_on_their_own_and_a_run_that_goes_on_say_it(
    workshop: Workshop, finished: Run, tmp_path: Path, command: Command
) -> None:
    run = copied(finished, tmp_path / "run", "direction", "scores", "selection", "data")
    queries = (f"--queries={workshop.root / 'toxic.jsonl'}", f"--contrast={workshop.root / 'safe.jsonl'}")
    said = [sentences(command(*words).err) for words in (("direct", run.root, *queries), ("score", run.root))]
    said.append(sentences(command("annotate", *workshop.options(out=run.root)).err))
    said.append(sentences(command("inspect", "--direction", run.direction("toxic"), "--text", "vile").err))
    assert all(len(one) == 1 for one in said), said
    assert len({sentence for (sentence,) in said}) == 1
    assert "norms and other vectors" in said[0][0]


@pytest.fixture
def with_direction(finished: Run, tmp_path: Path) -> Callable[..., Run]:
    """A run whose direction says something else of what is tracked."""

    def build(**tracked: object) -> Run:
        run = copied(finished, tmp_path / "run", "scores", "selection", "data", "factors")
        made = load_direction(run.direction("toxic"))
        provenance = {name: value for name, value in made.provenance.items() if name != "tracked"}
        save_direction(Direction(made.tensors, {**provenance, **tracked}), run.direction("toxic"))
        return run

    return build


def test_less_than_most_of_the_model_is_a_warning(
    with_direction: Callable[..., Run], workshop: Workshop, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ifcurate")
    run = with_direction(tracked={"tracked": 50, "total": 100, "left_out": {IDLE: 50}, "what": "the decoder blocks"})
    say_tracked(run, workshop.config())
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert f"left out: {IDLE} (50.00%); scores know nothing" in record.getMessage()


def test_of_a_direction_that_does_not_say_it_the_model_does(
    with_direction: Callable[..., Run], finished: Run, workshop: Workshop, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ifcurate")
    run = with_direction()
    with safe_open(finished.direction("toxic"), "pt") as stored:
        tracked = json.loads(stored.metadata()["ifcurate"])["tracked"]
    say_tracked(run, workshop.config())
    assert f"{SAID}{tracked['tracked'] / tracked['total']:.1%} of the {tracked['total']:,}" in caplog.text


def test_a_run_is_not_given_up_for_a_model_that_cannot_be_scored(
    finished: Run, workshop: Workshop, tmp_path: Path
) -> None:
    run = copied(finished, tmp_path / "run")
    model = shutil.copytree(workshop.root / "model", tmp_path / "model")
    weights = load_file(model / "model.safetensors")
    weights["model.layers.0.mlp.up_proj.weight"][0, 0] = float("nan")
    save_file(weights, model / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match="holds NaN or infinity; give a sound checkpoint"):
        annotate(workshop.config(out=run.root, model=model, overwrite=True))
    assert contents(run) == contents(finished)
