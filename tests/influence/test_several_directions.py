"""K directions at once: K + 1 forward passes, refused when inexact, columns for each behaviour and for the loss."""

import json

import pyarrow.parquet as pq
import pytest
import torch
from oracles import influence_by_autograd, random_direction, random_windows
from runs import rows_of
from tiny_models import FAMILIES, VOCABULARY, tiny_model

from ifcurate.corpus.parquet import metadata_of
from ifcurate.errors import InputError
from ifcurate.influence.direction import Direction, load_direction, save_direction
from ifcurate.influence.engines.calibration import best_steps, calibrate
from ifcurate.influence.engines.choice import build_engine, choose_engine
from ifcurate.influence.engines.finite_difference import OneSidedDifference
from ifcurate.influence.engines.forward_mode import ForwardMode
from ifcurate.model.windows import collate
from ifcurate.pipelines.run import open_run

LENGTHS = [17, 9, 17, 1, 12]
SEEDS = (1, 2, 3)


@pytest.fixture
def batch():
    return collate(random_windows(LENGTHS, VOCABULARY), start=0)


def errors(found: torch.Tensor, expected: torch.Tensor) -> list[float]:
    return ((found.double() - expected).norm(dim=1) / expected.norm(dim=1)).tolist()


@pytest.mark.parametrize("family", FAMILIES)
def test_one_sided_differences_are_gradients_along_each_direction(family, batch):
    model = tiny_model(family)
    directions = [random_direction(model, seed) for seed in SEEDS]
    double = tiny_model(family).double()
    expected = torch.stack([influence_by_autograd(double, direction, batch) for direction in directions])
    steps = calibrate(model, directions, batch, "one-sided")
    scores = build_engine("one-sided", model, directions, steps).score(batch)
    for error, step in zip(errors(scores.influence, expected), steps, strict=True):
        assert error < 1e-2
        assert error == pytest.approx(step.error, rel=0.1, abs=1e-4)  # what was measured is what there is
    stacked = ForwardMode(double, directions).score(batch)
    assert max(errors(stacked.influence, expected)) < 1e-6
    assert torch.allclose(scores.loss.double(), stacked.loss, atol=1e-4)


def test_directions_share_the_base_pass(batch):
    model = tiny_model("llama")
    directions = [random_direction(model, seed) for seed in SEEDS]
    engine = OneSidedDifference(model, directions, [1e-3] * len(SEEDS))
    passes = []
    engine._moved._body.register_forward_hook(lambda *_: passes.append(1))
    engine.score(batch)
    assert len(passes) == len(SEEDS) + 1


def test_they_are_chosen_for_several_directions_in_float32_only():
    assert choose_engine("auto", "label", torch.float32, directions=1) == "finite-difference"
    assert choose_engine("auto", "label", torch.float32, directions=2) == "one-sided"
    assert choose_engine("auto", "label", torch.bfloat16, directions=2) == "jvp"
    with pytest.raises(InputError, match="one-sided needs float32"):
        choose_engine("one-sided", "label", torch.bfloat16, directions=2)


def test_one_sided_differences_that_are_off_are_refused(batch, monkeypatch):
    model = tiny_model("gpt_neox")
    monkeypatch.setattr("ifcurate.influence.engines.calibration.STEPS", (0.3,))
    assert not best_steps(model, [random_direction(model)], batch, "one-sided")[0].is_exact
    with pytest.raises(InputError, match="use --engine finite-difference"):
        calibrate(model, [random_direction(model)], batch, "one-sided")


@pytest.fixture(scope="module")
def directions(finished, tmp_path_factory):
    """Two published directions, toxic and loud."""
    toxic = load_direction(finished.direction("toxic"))
    turned = {name: tensor.flip(0) for name, tensor in toxic.tensors.items()}
    loud = tmp_path_factory.mktemp("published") / "loud.safetensors"
    save_direction(Direction(turned, {**toxic.provenance, "behaviour": "loud"}), loud)
    return {"toxic": finished.direction("toxic"), "loud": loud}


def annotate(workshop, out, *files):
    words = workshop.options(out=out, queries=None, contrast=None)
    return ["annotate", *words, *(word for file in files for word in ("--direction", file))]


def test_one_command_annotates_for_several_behaviours(workshop, finished, directions, command, tmp_path):
    words = [*annotate(workshop, tmp_path / "run", *directions.values()), "--with-loss"]
    done = command(*words)
    assert done.code == 0, done.err
    run, config = open_run(str(tmp_path / "run"))
    assert len(config.directions) == 2
    told = json.loads(run.engine.read_text())
    assert told["behaviours"] == ["loud", "toxic"]
    assert told["engine"] == "one-sided"
    assert all(step["error"] < 0.01 for step in told["steps"])

    together = rows_of(run.data)
    alone = rows_of(finished.data)
    for row, reference in zip(together, alone, strict=True):
        assert len(row["loss"]) == len(row["token_ids"]) == len(row["loud_influence"]) == len(row["toxic_mask"])
        assert all(value > 0 for value in row["loss"])
        scale = max((abs(value) for value in reference["toxic_influence"]), default=1)
        assert row["toxic_influence"] == pytest.approx(reference["toxic_influence"], abs=0.05 * scale)
    metadata = metadata_of(pq.read_schema(next(run.data.glob("*.parquet"))))
    assert metadata["loud"]["direction_hash"] != metadata["toxic"]["direction_hash"]
    assert metadata["loud"]["relative_error"] < 0.01

    again = command(*words)
    assert again.code == 0, again.err
    assert rows_of(run.data) == together
    selected = command("select", run.root, "--budget", "1%")
    assert "loud" in selected.out
    assert "toxic" in selected.out


def test_two_directions_of_one_behaviour_are_refused(workshop, directions, command, tmp_path):
    done = command(*annotate(workshop, tmp_path / "run", directions["toxic"], directions["toxic"]))
    assert "both of the behaviour 'toxic'" in done.error
    assert not (tmp_path / "run").exists()
