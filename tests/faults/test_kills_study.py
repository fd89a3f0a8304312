"""A study killed at any moment, and again: the same command ends with the same tables, and makes nothing twice."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from faulty_tasks import leftovers
from runs import Workshop, texts
from warm_commands import Ended, WarmCommands

KILLS = 12
RESULTS = ("results.json", "results.csv", "results.md", "results.tex")


@pytest.fixture(scope="module")
def words(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A study of three arms and two judges on the workshop's corpus, but for its output."""
    root = tmp_path_factory.mktemp("study")
    (root / "prompts.jsonl").write_text("".join(json.dumps({"prompt": text}) + "\n" for text in texts(6, 1) if text))
    rows = [{"text": text, "label": number % 2} for number, text in enumerate(texts(40, 2)) if text]
    (root / "labelled.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    study = {
        "places": {"shop": str(workshop.root)},
        "model": "{shop}/model",
        "corpus": "{shop}/corpus",
        "queries": "{shop}/toxic.jsonl",
        "contrast": "{shop}/safe.jsonl",
        "held_out": "{shop}/corpus",
        "prompts": "./prompts.jsonl",
        "judges": {"own": {"reward_model": "own"}, "words": "profanity-check"},
        "annotation": {"fit_tokens": 512, "workers": 1, "quantile": 0.9},
        "annotations": {"five": {"budget": "5%"}, "two": {"budget": "2%"}},
        "training": {"max_steps": 4, "save_steps": 2, "tokens_per_step": 64, "context": 32, "watch": False},
        "trainings": {"ascent": {"penalty": 1}},
        "reward_models": {"own": {"source": "./labelled.jsonl", "num_train_epochs": 1, "held_out": 0.3}},
        "evaluation": {"completions": 2, "max_new_tokens": 4},
        "arms": {"base": {}, **{name: {"annotation": name, "training": "ascent"} for name in ("five", "two")}},
    }
    (root / "study.yaml").write_text(json.dumps(study))
    return ["study", str(root / "study.yaml"), "--no-figure"]


def run(warm: WarmCommands, words: list[str], out: Path, **fault: object) -> Ended:
    return warm.run(*words, "--out", out, below=out.parent, **fault)


@pytest.mark.faults
def test_a_study_that_is_killed_over_and_over(warm: WarmCommands, words: list[str], tmp_path: Path) -> None:
    whole = tmp_path / "whole" / "study"
    undisturbed = run(warm, words, whole)
    assert undisturbed.outcome.code == 0, undisturbed.outcome.err
    assert undisturbed.changes
    generator, killed, number = random.Random(0), 0, 0
    while killed < KILLS:
        out, number = tmp_path / str(number) / "study", number + 1
        for _ in range(4):
            ended = run(warm, words, out, moment=generator.randint(1, undisturbed.changes // 2))
            assert ended.was_killed or ended.outcome.code == 0, ended.outcome.err
            killed += ended.was_killed
        ended = run(warm, words, out)
        assert ended.outcome.code == 0, ended.outcome.err
        assert {name: (out / name).read_bytes() for name in RESULTS} == {
            name: (whole / name).read_bytes() for name in RESULTS
        }
        assert leftovers(out) == []
        assert "0 pieces made" in run(warm, words, out).outcome.out
