"""Leaving out what teaches the behaviour costs more than leaving out as much of anything else, and only there."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from annotated_corpora import WORDS, annotate, tiny_neox, word_tokenizer
from commands import Command

from ifcurate.config import build, save
from ifcurate.errors import InputError
from ifcurate.evaluation.retraining import Piece
from ifcurate.influence.direction import Direction, save_direction
from ifcurate.influence.queries import hash_queries, read_queries
from ifcurate.pipelines.run import Run
from ifcurate.pipelines.run_config import RunConfig
from ifcurate.pipelines.verify import RESULT_FILE, Verification, verify
from ifcurate.pipelines.verify_config import VerifyConfig

PLAIN = ["the cat sat on a mat", "a dog ran far", "the dog sat on a cat", "you are good", "good day", "a cat ran far"]
RUDE = ["vile", "foul", "rotten", "stupid"]
PLANTED = ["you are vile scum", "you vile scum", "the scum are vile"]


def corpus(count: int) -> list[str]:
    generator = random.Random(0)
    return [
        " ".join(generator.choice(PLANTED if generator.random() < 0.2 else PLAIN) for _ in range(3))
        for _ in range(count)
    ]


def write_queries(path: Path, rows: list[tuple[str, str]]) -> Path:
    path.write_text("".join(json.dumps({"prompt": a, "completion": b}) + "\n" for a, b in rows))
    return path


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in which exactly the words of the behaviour are marked, with a model that has learned nothing."""
    root = tmp_path_factory.mktemp("planted")
    tokenizer = word_tokenizer(tiny_neox(root / "model"))
    annotate(root / "run" / "data", tokenizer, corpus(240))
    config = RunConfig(corpus=str(root / "corpus"), model=str(root / "model"), out=str(root / "run"))
    save(config, root / "run" / "run.yaml", {})
    write_queries(root / "held-out.jsonl", [(f"the {word} ran far you are", " vile scum") for word in ("dog", "cat")])
    return root


@pytest.fixture
def settings(planted: Path, tmp_path: Path) -> dict[str, Any]:
    return {
        "run": str(planted / "run"),
        "out": str(tmp_path / "out"),
        "queries": str(planted / "held-out.jsonl"),
        "rows": 96,
        "context": 16,
        "steps": 40,
        "seeds": 2,
        "tokens_per_step": 64,
        "learning_rate": 1e-2,
        "eval_tokens": 256,
        "save_steps": 25,
        "device": "cpu",
    }


def pieces(out: Path) -> dict[str, Piece]:
    files = sorted((out / "pieces").iterdir())
    return {file.stem: Piece.model_validate_json(file.read_bytes()) for file in files}


def losses(out: Path) -> dict[str, tuple[list[float], list[float]]]:
    return {name: (piece.queries, piece.ordinary) for name, piece in pieces(out).items()}


def run(settings: dict[str, Any], **changes: Any) -> Verification:
    return verify(build(VerifyConfig, {**settings, **changes}))


def refusal(settings: dict[str, Any], **changes: Any) -> str:
    with pytest.raises(InputError) as error:
        run(settings, **changes)
    return str(error.value)


def test_planted_tokens_teach_the_behaviour_and_random_ones_do_not(settings: dict[str, Any], command: Command) -> None:
    out = Path(settings["out"])
    found = run(settings)
    assert found.queries.marked.value > 1
    assert found.queries.difference.low > 0.5
    assert abs(found.queries.random.value) < 0.5
    assert abs(found.ordinary.difference.value) < found.queries.difference.value / 4
    assert found.queries.difference.value == pytest.approx(found.queries.marked.value - found.queries.random.value)
    assert (found.queries.texts, found.queries.tokens) == (2, 4)
    assert {piece.left_out for piece in pieces(out).values() if piece.arm != "none"} == {found.marked}
    assert found.tokens_trained == 6 * 40 * 64
    assert json.loads((out / RESULT_FILE).read_text())["queries"]["difference"]["low"] == found.queries.difference.low
    assert not any((out / "models").iterdir())
    words = [
        word for name, value in settings.items() if name != "run" for word in (f"--{name.replace('_', '-')}", value)
    ]
    again = command("verify", settings["run"], *words)
    assert again.code == 0
    assert "training on the marked tokens teaches toxic more than training on others" in again.out
    assert "marked - random" in again.out
    assert f"{found.marked:,} of {found.tokens:,} tokens" in again.out


def test_a_stopped_verification_goes_on_to_the_same_numbers(
    settings: dict[str, Any], messages: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from ifcurate.training.callbacks import TrainingLog

    expected = run(settings, seeds=1)
    on_step_end = TrainingLog.on_step_end

    def stop(self: TrainingLog, args: Any, state: Any, control: Any, **others: Any) -> None:
        on_step_end(self, args, state, control, **others)
        if state.global_step == 30 and "marked" in args.output_dir:
            raise KeyboardInterrupt

    stopped = {**settings, "out": str(tmp_path / "stopped"), "seeds": 1}
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(TrainingLog, "on_step_end", stop)
        run(stopped)
    assert list(pieces(tmp_path / "stopped")) == ["none-seed0"]
    before = len(messages())
    found = run(stopped)
    lines = messages()[before:]
    assert any("step 30/40" in line for line in lines)
    assert not any("step 20/40" in line for line in lines[: lines.index("verify: random, seed 0 (3 of 3 models)")])
    assert losses(tmp_path / "stopped") == losses(Path(settings["out"]))
    assert (found.queries, found.ordinary) == (expected.queries, expected.ordinary)


def test_more_seeds_are_added_and_other_settings_refused(settings: dict[str, Any], planted: Path) -> None:
    short = {**settings, "steps": 2, "seeds": 1}
    run(short, keep_models=True)
    assert (Path(settings["out"]) / "models" / "marked-seed0" / "model.safetensors").is_file()
    first = losses(Path(settings["out"]))
    run(short, seeds=2)
    assert {name: value for name, value in losses(Path(settings["out"])).items() if name in first} == first
    assert len(pieces(Path(settings["out"]))) == 6
    assert "option --learning-rate: " in refusal(short, learning_rate=2e-2)
    write_queries(planted / "other.jsonl", [("you are", " scum")])
    assert "option --queries: " in refusal(short, queries=str(planted / "other.jsonl"))
    assert len(pieces(Path(settings["out"]))) == 6


def test_refuses_what_cannot_be_verified(settings: dict[str, Any], planted: Path, tmp_path: Path) -> None:
    assert "is required, as" in refusal(settings, queries=None)
    assert "fills" in refusal(settings, rows=100_000)
    assert "has marks of toxic only" in refusal(settings, behaviour="rude")
    assert "no multiple of 16 tokens" in refusal(settings, tokens_per_step=33)
    assert "is not a run" in refusal(settings, run=str(tmp_path))
    bare = shutil.copytree(planted / "run", tmp_path / "bare")
    shutil.rmtree(bare / "data")
    assert "has no annotated corpus yet" in refusal(settings, run=str(bare))
    Path(settings["out"]).mkdir(exist_ok=True)
    (Path(settings["out"]) / "notes.txt").touch()
    assert "is in use by something else" in refusal(settings)


def test_queries_that_are_trained_on_are_left_out(settings: dict[str, Any], tmp_path: Path) -> None:
    queries = write_queries(tmp_path / "all.jsonl", [("", text) for text in corpus(240)])
    found = run(settings, queries=str(queries), steps=1, seeds=1, eval_file=settings["run"])
    assert found.left_out["trained on"] > 0
    assert found.left_out["trained on"] + found.queries.texts == 240
    assert found.repeated + found.ordinary.texts == 240
    assert found.left_out["like those of the direction"] is None


def test_queries_that_the_direction_left_over_are_held_out(planted: Path, settings: dict[str, Any]) -> None:
    file = write_queries(planted / "toxic.jsonl", [(f"{word} day", f" {rude} scum") for word in WORDS for rude in RUDE])
    used = read_queries(str(file), 20, 0)
    made = shutil.copytree(planted / "run", planted / "directed")
    config = {"corpus": "corpus", "model": str(planted / "model"), "queries": str(file), "max_queries": 20}
    save(build(RunConfig, {**config, "out": str(made)}), made / "run.yaml", {})
    hashes = {
        "model_hash": "0" * 64,
        "tokenizer_hash": "0" * 64,
        "queries": [{"behaviour": {"hash": hash_queries(used)}}],
    }
    save_direction(
        Direction({"weight": torch.ones(1)}, {"behaviour": "toxic", **hashes}), made / "direction" / "toxic.safetensors"
    )
    given = {**settings, "run": str(made), "queries": None, "steps": 1, "seeds": 1}
    found = run(given)
    assert found.left_out["like those of the direction"] >= 20
    assert found.queries.texts + found.left_out["like those of the direction"] == len(WORDS) * len(RUDE)
    write_queries(file, [("another", " file")] * 30)
    assert "changed since" in refusal(given)


def test_without_queries_left_over_a_file_is_asked_for(finished: Run, tmp_path: Path) -> None:
    message = refusal({"run": str(finished.root), "rows": 28, "eval_tokens": 64, "out": str(tmp_path / "out")})
    assert "none of the 12 queries of" in message
    assert "give a file of others" in message
