"""Directions that travel: into a folder, to a Hub on this machine, and back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml
from commands import Command
from hub_server import Hub, hub_server, make_known
from huggingface_hub import ModelCard
from runs import Workshop

from ifcurate.errors import InputError
from ifcurate.influence.direction import DIRECTION_FILE, Direction, find_direction, load_direction
from ifcurate.influence.direction_card import direction_card
from ifcurate.pipelines.direct import published_directions
from ifcurate.pipelines.run import Run
from ifcurate.selection.table import Selection

HASHES = {"model_hash": "a" * 64, "tokenizer_hash": "b" * 64}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with hub_server() as server:
        make_known(server, tmp_path / "home", monkeypatch)
        yield server


def equal(one: Direction, other: Direction) -> bool:
    return one.tensors.keys() == other.tensors.keys() and all(
        torch.equal(tensor, other.tensors[name]) for name, tensor in one.tensors.items()
    )


def test_it_is_saved_and_read_as_models_are(finished: Run, tmp_path: Path) -> None:
    direction = Direction.from_pretrained(finished.direction("toxic"))
    direction.save_pretrained(tmp_path / "saved")
    assert sorted(file.name for file in (tmp_path / "saved").iterdir()) == ["README.md", DIRECTION_FILE]
    for place in (tmp_path / "saved", str(tmp_path / "saved"), tmp_path / "saved" / DIRECTION_FILE):
        again = Direction.from_pretrained(place)
        assert equal(again, direction)
        assert again.provenance == direction.provenance
    with pytest.raises(InputError, match=r"direction\.safetensors: cannot be read as a direction"):
        Direction.from_pretrained(tmp_path)


def test_it_is_pushed_privately_and_pulled_by_name(hub: Hub, finished: Run) -> None:
    direction = load_direction(finished.direction("toxic"))
    assert direction.push_to_hub("org/toxic", license="mit") == f"{hub.address}/org/toxic"
    repository = hub.repositories["models/org/toxic"]
    assert repository.private
    assert sorted(repository.files) == ["README.md", DIRECTION_FILE]
    for words in (("org/toxic",), ("org/toxic", "main"), ("org/toxic@main",)):
        assert equal(Direction.from_pretrained(*words), direction)
    with pytest.raises(InputError, match="org/other: is no file or folder here and cannot be loaded from the Hub"):
        find_direction("org/other")
    with pytest.raises(InputError, match="option --repo: org/toxic is public already"):
        repository.private = False
        direction.push_to_hub("org/toxic", license="mit")


def test_a_run_publishes_what_it_found_and_others_score_with_it(
    hub: Hub, finished: Run, workshop: Workshop, tmp_path: Path, command: Command
) -> None:
    words = ("directions", "publish", finished.root, "--repo", "org/toxic", "--out", tmp_path / "out")
    assert command(*words).error.startswith("option --license is required")
    dry = command(*words, "--license", "mit", "--dry-run")
    assert (dry.code, dry.out) == (0, f"direction: {tmp_path / 'out'}\n")
    assert hub.events == []
    assert "model is a folder here: say with --model-id" in dry.err
    done = command(*words, "--license", "mit")
    assert (done.code, done.out) == (0, f"direction: {hub.address}/org/toxic\n")
    card = ModelCard(hub.repositories["models/org/toxic"].files["README.md"].decode())
    said = load_direction(finished.direction("toxic")).provenance
    selection = Selection.load(finished.selection, "toxic")
    assert card.data.to_dict()["license"] == "mit"
    for value in (said["model_hash"], said["queries"][0]["contrast"]["hash"], said["factors_hash"]):
        assert f"`{value}`" in card.text
    assert f"On `corpus`, {selection.documents} documents with {selection.tokens:,} tokens" in card.text
    assert str(workshop.root) not in card.text
    shown = command("inspect", "--direction", "org/toxic@main", "--text", "vile", "--model", workshop.root / "model")
    local = command("inspect", "--direction", finished.direction("toxic"), "--text", "vile")
    assert (shown.code, shown.out) == (0, local.out)
    found = published_directions(workshop.config(direction="org/toxic", queries=None, contrast=None))
    assert equal(load_direction(found["toxic"]), load_direction(finished.direction("toxic")))


def test_the_card_has_the_quadratic_of_a_refinement() -> None:
    refinement = {"method": "cg", "steps": 2, "tokens_a_step": 4096, "damping": 1.0, "quadratics": [-1.0, -1.5, -1.625]}
    said = {"behaviour": "rude", **HASHES, "model": "org/model", "refinement": refinement}
    card = ModelCard(direction_card("org/name", json.loads(json.dumps(said)), "mit"))
    assert card.data.to_dict()["base_model"] == "org/model"
    assert card.data.to_dict() == yaml.safe_load(str(card).split("---\n")[1])
    for step, value in enumerate(refinement["quadratics"]):
        assert f"| {step} | {value:.6g} |" in card.text
    assert "by `cg`: 2 steps of 4,096 tokens" in card.text
    assert "--direction org/name --out RUN" in card.text
    plain = direction_card("out", {"behaviour": "rude", **HASHES})
    assert "Not refined beyond EK-FAC" in plain
    assert "base_model" not in plain


def test_a_behaviour_that_is_not_there_is_refused(finished: Run, tmp_path: Path, command: Command) -> None:
    options = ("--repo", "org/name", "--license", "mit", "--dry-run", "--out", tmp_path / "out", "--behaviour", "calm")
    refused = command("directions", "publish", finished.root, *options)
    assert refused.error == f"option --behaviour: {finished.root} has directions of toxic; name one of them."
    refused = command("directions", "publish", finished.direction("toxic"), *options)
    assert "is of 'toxic'; leave the option out" in refused.error
    assert not (tmp_path / "out").exists()
