"""A model on several devices: which module goes where, and that hooks between modules change no number.

There is one device here, a CPU, so activations stay where they are; `test_gpu.py` moves them where there are two GPUs.
"""

from __future__ import annotations

import pytest
import torch
from commands import Command
from oracles import random_direction, random_windows
from runs import Workshop
from tiny_models import VOCABULARY, tiny_model

from ifcurate.errors import InputError
from ifcurate.influence.engines import ENGINES
from ifcurate.influence.engines.calibration import Step
from ifcurate.influence.engines.choice import build_engine, choose_engine
from ifcurate.influence.query_gradient import QueryWindow, query_gradient
from ifcurate.model.device_map import device_map_of, place, resolve_devices
from ifcurate.model.windows import collate

FAMILIES = ("gpt_neox", "llama", "gpt2", "mixtral")
WINDOWS = random_windows([9, 1, 12], VOCABULARY)
SEVERAL = tuple(name for name, spec in ENGINES.items() if spec.on_several_devices)


@pytest.mark.parametrize("family", FAMILIES)
def test_blocks_fill_the_devices_in_order_and_all_else_is_on_the_first(family):
    model = tiny_model(family, **{"n_layer" if family == "gpt2" else "num_hidden_layers": 8})
    placed = device_map_of(model, ["first", "second", "third"])
    blocks = [device for name, device in placed.items() if name.rpartition(".")[2].isdigit()]
    assert blocks == sorted(blocks)
    assert blocks[-1] == "third"
    assert {device for name, device in placed.items() if not name.rpartition(".")[2].isdigit()} == {"first"}
    for name, parameter in model.named_parameters():
        covering = [module for module in placed if f"{name}.".startswith(f"{module}.")]
        assert len(covering) == 1, (name, parameter.shape, covering)


def test_devices_get_equal_shares_of_the_bytes():
    model = tiny_model("gpt_neox", num_hidden_layers=30)
    placed = device_map_of(model, ["first", "second", "third"])
    size = dict.fromkeys(placed.values(), 0)
    for name, device in placed.items():
        size[device] += sum(each.numel() for each in model.get_submodule(name).parameters())
    block = sum(each.numel() for each in model.gpt_neox.layers[0].parameters())
    assert max(size.values()) - min(size.values()) <= 2 * block


@pytest.mark.parametrize("engine", SEVERAL)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_that_is_shared_out_has_the_scores_of_a_whole_one(family, engine):
    whole, parted = tiny_model(family), place(tiny_model(family), ["cpu", "cpu"])
    direction, batch = random_direction(whole), collate(WINDOWS, start=0)
    expected, found = (
        build_engine(engine, each, [direction], [Step(1e-3, 0.0)]).score(batch) for each in (whole, parted)
    )
    assert torch.equal(found.influence, expected.influence)
    assert torch.equal(found.loss, expected.loss)
    assert expected.influence.abs().max() > 0


def test_a_model_that_is_shared_out_has_the_gradient_of_a_whole_one():
    queries = [QueryWindow(window, len(window) // 2, 1.0) for window in WINDOWS]
    models = tiny_model("llama"), place(tiny_model("llama"), ["cpu", "cpu"])
    expected, found = (query_gradient(each, queries, 0, 64).tensors for each in models)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_engines_that_hold_the_whole_model_are_refused():
    gpus = ["cuda:0", "cuda:1"]
    assert choose_engine("auto", "label", torch.bfloat16, gpus) == "jvp"
    for engine, alignment in (("auto", "position"), ("compiled-jvp", "label"), ("student", "label")):
        with pytest.raises(InputError, match=r"option --device-map: .* needs the whole model on one device"):
            choose_engine(engine, alignment, torch.bfloat16, gpus)


@pytest.mark.skipif(torch.cuda.device_count() > 1, reason="there are several GPUs")
def test_one_device_alone_is_refused_before_anything_is_made(tmp_path, command: Command):
    with pytest.raises(InputError, match="shares a model out over several GPUs, and there are"):
        resolve_devices("auto", "auto")
    workshop = Workshop.build(tmp_path)
    error = command("annotate", *workshop.options(device_map="auto")).error
    assert error.startswith("option --device-map: shares a model out")
    assert not (tmp_path / "run").exists()


def test_a_run_that_is_shared_out_ends_as_one_on_a_single_device(tmp_path, monkeypatch):
    workshop = Workshop.build(tmp_path)
    expected = workshop.annotate()
    for module in ("pipelines.annotate", "pipelines.direct", "influence.loading"):
        monkeypatch.setattr(f"ifcurate.{module}.resolve_devices", lambda device, device_map: ["cpu", "cpu"])
    with pytest.raises(InputError, match="run `ifcurate fit` first"):
        workshop.annotate(out=tmp_path / "other", device_map="auto")
    direction = expected.direction("toxic")
    found = workshop.annotate(out=tmp_path / "other", device_map="auto", direction=direction)
    assert [file.read_bytes() for file in sorted(found.data.glob("*.parquet"))] == [
        file.read_bytes() for file in sorted(expected.data.glob("*.parquet"))
    ]
