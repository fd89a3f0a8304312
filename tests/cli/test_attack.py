"""`ifcurate eval attack`: goes on where it stopped, and refuses to mix attacks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import Command
from tiny_models import save_tiny_model

TEXTS = ["the damn cat sat on a mat !", "a stupid dog", "shit happens to the cat"]
QUERIES = [{"prompt": "the", "completion": " damn cat"}, {"prompt": "a", "completion": " stupid dog"}]


def test_attacks_are_kept_one_by_one(tmp_path: Path, command: Command) -> None:
    pytest.importorskip("profanity_check", reason="needs pip install 'ifcurate[offline]'")
    model = save_tiny_model(tmp_path / "model", TEXTS, "gpt_neox")
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(query) + "\n" for query in QUERIES))
    asked = ["eval", "attack", model, "--queries", tmp_path / "q.jsonl", "--classifier", "profanity-check"]
    asked += ["--width", "6", "--suffix-tokens", "3", "--max-new-tokens", "4", "--device", "cpu"]
    asked += ["--out", tmp_path / "out"]
    done = command(*asked, "--steps", "2")
    assert done.code == 0, done.err
    assert "2 steps of 6 exchanges" in done.out
    files = sorted((tmp_path / "out/model/attacks").iterdir())
    first = [file.read_bytes() for file in files]
    found = json.loads((tmp_path / "out/model/evaluation.json").read_text())["attacks"]
    assert found["prompts"] == len(files) == 2
    assert found["loss_after"] <= found["loss_before"]
    files[1].unlink()
    stamp = files[0].stat().st_mtime_ns
    assert command(*asked, "--steps", "2").code == 0
    assert [file.read_bytes() for file in files] == first
    assert files[0].stat().st_mtime_ns == stamp
    assert "made with 2, not 3" in command(*asked, "--steps", "3").error
    files[0].write_bytes(first[0][:40])
    assert "is damaged" in command(*asked, "--steps", "2").error
    files[0].write_bytes(first[0].replace(b" damn cat", b" other cat"))
    assert "an attack of another query" in command(*asked, "--steps", "2").error
    long = command(*asked[:-1], tmp_path / "other", "--max-new-tokens", "64", "--steps", "2").error
    assert "remove the query" in long
