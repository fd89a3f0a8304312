from __future__ import annotations

from pathlib import Path

from annotated_corpora import annotate, tiny_neox, word_tokenizer
from commands import Command
from transformers import AutoModelForCausalLM


def test_trains_and_exports_from_the_command_line(tmp_path: Path, command: Command) -> None:
    model = tiny_neox(tmp_path / "model")
    data = annotate(tmp_path / "data", word_tokenizer(model))
    shape = ["--tokens-per-step", "32", "--context", "16", "--max-steps", "2", "--device", "cpu", "--no-watch"]
    out = tmp_path / "out"
    trained = command(
        "train", "--data", data, "--model", model, "--out", out, "--penalty", "toxic=0.5", "--eval-file", data, *shape
    )
    assert trained.code == 0
    assert "toxic: marked 16.67% of 24 tokens as annotated, 16.67% of 24 tokens for this model" in trained.err
    assert "step 2/2: held-out loss" in trained.err
    assert "waited for data" in trained.out
    AutoModelForCausalLM.from_pretrained(out)

    again = command("train", "--config", out / "training.yaml")
    assert again.code == 0
    assert f"{out}: is trained already; --overwrite trains anew" in again.err
    assert "2 steps in" in again.out
    other = command("train", "--config", out / "training.yaml", "--max-steps", "3")
    assert "option --max-steps: " in other.error
    (out / "model.safetensors").write_bytes(b"")
    assert command("train", "--config", out / "training.yaml", "--overwrite").code == 0
    AutoModelForCausalLM.from_pretrained(out)

    exported = command("export", data, "--format", "mds", "--out", tmp_path / "mds", "--tokenizer", model)
    assert exported.code == 0
    assert "mds carries signed weights" in exported.err
    assert "8 documents, 32 tokens, 4 of them weigh 0 or less, sum of weights 24.0" in exported.out


def test_bad_options_are_one_sentence(tmp_path: Path, command: Command) -> None:
    unknown = command("export", tmp_path, "--format", "tfrecord", "--out", tmp_path / "out", "--tokenizer", tmp_path)
    assert unknown.error.startswith("option --format:")
    neither = command("train", "--data", tmp_path, "--out", tmp_path / "out")
    assert "--model" in neither.error
    penalty = command("train", "--data", tmp_path, "--out", tmp_path / "out", "--model", "m", "--penalty", "toxic=-1")
    assert "finite LAMBDA" in penalty.error
