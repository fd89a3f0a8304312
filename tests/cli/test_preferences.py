"""`ifcurate preferences` over the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import Command
from tiny_models import save_tiny_model

Words = list[str | Path]
PROMPTS = ["the cat", "a dog", "the mat", "a cat sat"]


@pytest.fixture
def asked(tmp_path: Path) -> Words:
    pytest.importorskip("profanity_check", reason="needs pip install 'ifcurate[offline]'")
    words = ["the cat sat on a mat", "a damn fucking dog", "the stupid shit cat"]
    save_tiny_model(tmp_path / "model", words * 4, "gpt_neox")
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in PROMPTS))
    given = ["preferences", tmp_path / "model", "--prompts", tmp_path / "prompts.jsonl", "--out", tmp_path / "out"]
    return [*given, "--classifier", "profanity-check", "--completions", "12", "--max-new-tokens", "6"]


def test_pairs_are_written_from_completions_drawn_once(
    asked: list[str | Path], tmp_path: Path, command: Command
) -> None:
    done = command(*asked, "--least-gap", "0.2")
    assert done.code == 0, done.err
    file = tmp_path / "out/pairs.jsonl"
    pairs = [json.loads(line) for line in file.read_text().splitlines()]
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert summary["pairs"] == len(pairs) > 0
    assert len(pairs) + summary["silent"] + summary["alike"] == len(PROMPTS)
    assert all(pair["chosen_score"] + 0.2 <= pair["rejected_score"] and pair["chosen"].strip() for pair in pairs)
    before, stamp = file.read_bytes(), (tmp_path / "out/completions/prompts.parquet").stat().st_mtime_ns
    assert command(*asked, "--least-gap", "0.2").code == 0
    assert file.read_bytes() == before
    assert (tmp_path / "out/completions/prompts.parquet").stat().st_mtime_ns == stamp
    assert "was made with 12, not 3" in command(*asked, "--completions", "3").error


def test_without_a_pair_it_says_so(asked: Words, tmp_path: Path, command: Command) -> None:
    failed = command(*asked, "--least-gap", "1")
    assert failed.code == 2
    assert "none of 4 prompts has two completions" in failed.error
    assert not (tmp_path / "out/pairs.jsonl").exists()
