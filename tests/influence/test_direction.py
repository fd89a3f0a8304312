import json
from dataclasses import asdict

import pytest
import torch
from oracles import random_direction
from safetensors.torch import save_file
from tiny_models import tiny_model

from ifcurate.errors import InputError
from ifcurate.influence.direction import (
    Direction,
    check_direction,
    coverage_of,
    hash_direction,
    load_direction,
    save_direction,
)
from ifcurate.model.layers import Coverage

HASHES = {"model_hash": "a" * 64, "tokenizer_hash": "b" * 64}
MADE = {"behaviour": "rude", **HASHES}


def direction_for(model, **provenance):
    return Direction(random_direction(model).tensors, {**MADE, **provenance})


def test_a_direction_comes_back_as_it_was(tmp_path):
    direction = direction_for(tiny_model("llama"), further="kept", queries=[{"behaviour": {"hash": "q"}}])
    save_direction(direction, tmp_path / "a.safetensors")
    loaded = load_direction(tmp_path / "a.safetensors")
    assert loaded.behaviour == "rude"
    assert loaded.provenance["queries"] == [{"behaviour": {"hash": "q"}}]
    assert {**loaded.provenance, "version": None} == {**direction.provenance, "version": None}
    assert loaded.tensors.keys() == direction.tensors.keys()
    assert all(torch.equal(loaded.tensors[name], tensor) for name, tensor in direction.tensors.items())
    save_direction(loaded, tmp_path / "b.safetensors")
    assert hash_direction(tmp_path / "a.safetensors") == hash_direction(tmp_path / "b.safetensors")


def test_nan_is_refused_and_nothing_is_written(tmp_path):
    direction = direction_for(tiny_model("llama"))
    next(iter(direction.tensors.values()))[0, 0] = float("nan")
    with pytest.raises(InputError, match="NaN or infinite"):
        save_direction(direction, tmp_path / "a.safetensors")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"behaviour": "../../../evil"}, "behaviour"),
        ({"behaviour": "a/b"}, "behaviour"),
        ({"behaviour": 7}, "behaviour"),
        ({"behaviour": ""}, "behaviour"),
        ({"behaviour": "evil\n"}, "behaviour"),
        ({"model_hash": "../x"}, "model_hash"),
        ({"queries": [{"behaviour": {}}]}, "queries.0.behaviour.hash"),
        ({"queries": ["hash"]}, "queries.0"),
        ({"queries": {"behaviour": {"hash": "q"}}}, "queries"),
        ({"tracked": {"tracked": 1, "total": 0, "left_out": {}}}, "tracked.total"),
    ],
)
def test_what_a_shared_file_says_is_checked(tmp_path, said, field):
    file = tmp_path / "shared.safetensors"
    save_file({"weight": torch.zeros(2)}, file, metadata={"ifcurate": json.dumps({**MADE, **said})})
    with pytest.raises(InputError, match=rf"shared\.safetensors: is damaged .*\({field}: .*\); get it"):
        load_direction(file)
    for content in ("{", "[]", "7", json.dumps(HASHES)):
        save_file({"weight": torch.zeros(2)}, file, metadata={"ifcurate": content})
        with pytest.raises(InputError, match=r"shared\.safetensors: is damaged or of another version"):
            load_direction(file)


@pytest.mark.parametrize("content", [None, b"", b"garbage" * 20])
def test_what_is_no_direction_is_refused(tmp_path, content):
    file = tmp_path / "a.safetensors"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InputError, match="cannot be read as a direction"):
        load_direction(file)


def test_tensors_without_provenance_are_no_direction(tmp_path):
    save_file({"weight": torch.zeros(2)}, tmp_path / "a.safetensors")
    with pytest.raises(InputError, match="no direction"):
        load_direction(tmp_path / "a.safetensors")


def test_a_direction_for_other_weights_or_tokens_is_refused():
    model = tiny_model("llama")
    direction = direction_for(model, model_hash="m", tokenizer_hash="t")
    check_direction(direction, model, "m", "t")
    with pytest.raises(InputError, match="another model"):
        check_direction(direction, model, "other", "t")
    with pytest.raises(InputError, match="another tokenizer"):
        check_direction(direction, model, "m", "other")
    with pytest.raises(InputError, match="not those of the model"):
        check_direction(direction, tiny_model("gpt_neox"), "m", "t")


def test_a_file_says_how_much_of_its_model_it_is_over(tmp_path):
    found = Coverage(90, 100, {"gate.weight": 10})
    save_direction(direction_for(tiny_model("llama"), tracked=asdict(found)), tmp_path / "a.safetensors")
    save_direction(direction_for(tiny_model("llama")), tmp_path / "of-old.safetensors")
    assert coverage_of(tmp_path / "a.safetensors") == found
    assert coverage_of(tmp_path / "of-old.safetensors") is None
