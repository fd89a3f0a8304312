"""Every example runs, on tiny data."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from annotated_corpora import annotate, tiny_neox, word_tokenizer
from commands import Command, environment
from runs import Run, Workshop

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(*words: str | Path, **variables: str) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        list(map(str, words)),
        capture_output=True,
        text=True,
        check=False,
        env=environment() | {"PATH": path} | variables,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_example_is_looked_at() -> None:
    assert {file.name for file in EXAMPLES.iterdir()} == {
        "annotate.yaml",
        "datatrove_pipeline.py",
        "eval.yaml",
        "score_texts.py",
        "smollm2",
        "train_on_several_gpus.sh",
        "trl_dpo.py",
        "trl_sft.py",
    }


def test_annotate_from_yaml(workshop: Workshop, tmp_path: Path, command: Command) -> None:
    options = workshop.options(out=tmp_path / "run", budget=None, quantile=None)
    done = command("annotate", "--config", EXAMPLES / "annotate.yaml", *options)
    assert done.code == 0, done.err
    made = yaml.safe_load((tmp_path / "run/run.yaml").read_text())
    assert (made["with_loss"], made["budget"], made["neighbours"]) == (True, "2%", 1)


def test_score_texts(workshop: Workshop, finished: Run) -> None:
    script = EXAMPLES / "score_texts.py"
    shown = run(sys.executable, script, workshop.root / "model", finished.direction("toxic"), "The river was vile.")
    assert "".join(eval(line.split("  ")[-1]) for line in shown.splitlines() if line) == "The river was vile."


def test_datatrove_pipeline(workshop: Workshop, finished: Run, tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    for part in "ab":
        (tmp_path / f"corpus/{part}.jsonl").write_text('{"text": "The river was vile.", "id": "1"}\n')
    script = EXAMPLES / "datatrove_pipeline.py"
    model, out = workshop.root / "model", tmp_path / "out"
    run(sys.executable, script, tmp_path / "corpus", model, finished.direction("toxic"), out)
    written = [file.read_text() for file in out.glob("*.jsonl")]
    assert len(written) == 2
    assert all("toxic_influence" in text for text in written)


@pytest.mark.slow
def test_trl_sft(tmp_path: Path, command: Command) -> None:
    pytest.importorskip("trl", reason="needs TRL: pip install 'ifcurate[trl]'")
    model = tiny_neox(tmp_path / "model")
    data = annotate(tmp_path / "data", word_tokenizer(model))
    export = ["export", data, "--format", "hf", "--out", tmp_path / "export", "--tokenizer", model, "--penalty", "1"]
    assert command(*export).code == 0
    run(sys.executable, EXAMPLES / "trl_sft.py", model, tmp_path / "export", tmp_path / "out")
    assert (tmp_path / "out/model.safetensors").is_file()


@pytest.mark.slow
def test_trl_dpo(tmp_path: Path) -> None:
    pytest.importorskip("trl", reason="needs TRL: pip install 'ifcurate[trl]'")
    model = tiny_neox(tmp_path / "model")
    word_tokenizer(model)
    pair = {"prompt": "the cat", "chosen": " sat on", "rejected": " a mat", "chosen_score": 0.0, "rejected_score": 1.0}
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(pair) + "\n" for _ in range(8)))
    run(sys.executable, EXAMPLES / "trl_dpo.py", model, tmp_path / "pairs.jsonl", tmp_path / "out", "2")
    assert (tmp_path / "out/model.safetensors").is_file()


@pytest.mark.slow
def test_train_on_several_gpus(tmp_path: Path) -> None:
    model = tiny_neox(tmp_path / "model")
    data = annotate(tmp_path / "data", word_tokenizer(model))
    shape = ["--tokens-per-step", "32", "--context", "16", "--max-steps", "2", "--device", "cpu", "--no-watch"]
    script = EXAMPLES / "train_on_several_gpus.sh"
    run("bash", script, data, model, tmp_path / "out", *shape, PROCESSES="2")
    assert (tmp_path / "out/model.safetensors").is_file()


def test_eval_from_yaml(tmp_path: Path, command: Command) -> None:
    pytest.importorskip("profanity_check", reason="needs pip install 'ifcurate[offline]'")
    model = tiny_neox(tmp_path / "model")
    word_tokenizer(model)
    (tmp_path / "prompts.jsonl").write_text('{"prompt": "the cat"}\n')
    (tmp_path / "texts.jsonl").write_text('{"text": "the cat sat on a mat"}\n' * 2)
    words = ["--prompts", tmp_path / "prompts.jsonl", "--text", tmp_path / "texts.jsonl", "--lambada"]
    words += [tmp_path / "texts.jsonl", "--completions", "8", "--max-new-tokens", "3", "--out", tmp_path / "eval"]
    done = command("eval", "all", f"base={model}", "--config", EXAMPLES / "eval.yaml", *words, "--no-figure")
    assert done.code == 0, done.err
    assert "EMT" in done.out


def test_smollm2_corpus(workshop: Workshop, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("\n\n".join(f"In the year {year} nothing\nat all happened in the town." for year in range(40)))
    script = EXAMPLES / "smollm2/corpus.py"
    run(sys.executable, script, tmp_path / "data", text, "--model", workshop.root / "model", "--tokens", "4000")
    rows = [row for shard in sorted((tmp_path / "data/corpus").iterdir()) for row in pq.read_table(shard).to_pylist()]
    assert {row["label"] for row in rows} == {"text", "clean", "insult"}
    held_out = pq.read_table(tmp_path / "data/heldout.parquet").to_pylist()
    assert not {row["text"] for row in held_out} & {row["text"] for row in rows}
    assert sum(row["label"] == "text" for row in rows + held_out) == 40
    assert len((tmp_path / "data/queries/toxic.jsonl").read_text().splitlines()) == 400


def test_smollm2_side_by_side(tmp_path: Path) -> None:
    for name, words, scores in (
        ("before", ["You fool.", "Good day."], [0.9, 0.1]),
        ("after", ["", "Well."], [None, 0.0]),
    ):
        row = {"prompt": "He said,", "completions": words, "profanity-check": {"toxicity": scores}}
        (tmp_path / name).mkdir()
        pq.write_table(pa.Table.from_pylist([row]), tmp_path / name / "prompts.parquet")
    shown = run(sys.executable, EXAMPLES / "smollm2/side_by_side.py", tmp_path, "before", "after")
    assert "You fool." in shown
    assert "Good day." not in shown
