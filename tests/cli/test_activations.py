"""`ifcurate eval activations`, and completions that are steered by what it wrote."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import Command
from tiny_models import save_tiny_model

RUDE, KIND = ["a damn dog", "the stupid cat", "a shit mat", "damn cats"], ["a calm dog", "the cat sat", "a mat", "cats"]


def write(path: Path, rows: list[dict[str, str]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_model_is_steered_by_its_own_activations(tmp_path: Path, command: Command) -> None:
    pytest.importorskip("profanity_check", reason="needs pip install 'ifcurate[offline]'")
    model = save_tiny_model(tmp_path / "model", RUDE + KIND, "gpt_neox")
    sides = [write(tmp_path / f"{name}.jsonl", [{"text": t} for t in s]) for name, s in (("r", RUDE), ("k", KIND))]
    found = tmp_path / "found"
    made = ["eval", "activations", model, "--queries", sides[0], "--contrast", sides[1], "--out", found]
    done = command(*made, "--device", "cpu")
    assert done.code == 0, done.err
    assert "clearest: block" in done.out
    first = (found / "activations.safetensors").read_bytes()
    assert command(*made, "--device", "cpu").code == 0
    assert (found / "activations.safetensors").read_bytes() == first
    assert "was made with 1000, not 3" in command(*made, "--device", "cpu", "--max-queries", "3").error
    write(sides[0], [{"text": text} for text in reversed(RUDE)])
    assert "made from what was there before" in command(*made, "--device", "cpu").error
    prompts = write(tmp_path / "prompts.jsonl", [{"prompt": "the cat"}, {"prompt": "a dog"}])
    asked = ["eval", "toxicity", model, "--prompts", prompts, "--classifier", "profanity-check", "--device", "cpu"]
    asked += ["--completions", "3", "--max-new-tokens", "4"]
    texts = []
    for number, steered in enumerate(([], ["--decoding", "steer", "--steer-by", found, "--steer-strength", "40"])):
        done = command(*asked, *steered, "--out", tmp_path / f"out{number}")
        assert done.code == 0, done.err
        texts.append((tmp_path / f"out{number}/model/prompts.parquet").read_bytes())
    assert texts[0] != texts[1]
    other = command(*asked, "--decoding", "steer", "--steer-by", found, "--out", tmp_path / "out1")
    assert "steer strength 40.0, not 1.0" in other.error
    assert "add --decoding steer" in command(*asked, "--steer-by", found, "--out", tmp_path / "a").error
    assert "name their file" in command(*asked, "--decoding", "steer", "--out", tmp_path / "b").error
