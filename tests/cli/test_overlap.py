"""`ifcurate overlap` on runs of one corpus, with models of other tokenizers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import Command
from runs import Workshop, texts, write_shards
from tiny_models import save_tiny_model, tiny_tokenizer

from ifcurate.pipelines.run import Run


@pytest.fixture(scope="module")
def other(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The same corpus, annotated by a model of another family that has another tokenizer."""
    root = tmp_path_factory.mktemp("other")
    model = save_tiny_model(root / "model", texts(60), "qwen2", seed=1)
    tiny_tokenizer(texts(60), 120).save_pretrained(model)
    return workshop.annotate(model=model, out=root / "run")


def test_runs_with_other_tokenizers_are_compared_in_characters(
    finished: Run, other: Run, tmp_path: Path, command: Command
) -> None:
    out = tmp_path / "overlap.json"
    done = command("overlap", finished.root, other.root, finished.root, "--out", out)
    assert "of the smaller" in done.out
    first, same, last = json.loads(out.read_text())
    assert same["overlap"]["share"] == {"value": 1, "low": 1, "high": 1}
    assert first["overlap"]["common"] == last["overlap"]["common"]
    assert (first["overlap"]["first"], first["overlap"]["second"]) == (
        last["overlap"]["second"],
        last["overlap"]["first"],
    )
    assert 0 < first["overlap"]["chance"] < 1
    assert 0 <= first["overlap"]["share"]["low"] <= first["overlap"]["share"]["high"] <= 1


def test_annotations_of_another_corpus_are_refused(
    finished: Run, workshop: Workshop, tmp_path: Path, command: Command
) -> None:
    renamed = write_shards(tmp_path / "renamed", [["a text"]])
    (renamed / "part-000.parquet").rename(renamed / "other.parquet")
    assert "has not the shards of" in command("overlap", finished.root, renamed).error
    plain = command("overlap", finished.root, workshop.root / "corpus").error
    assert "toxic_spans" in plain
    written = texts(60, seed=1)
    write_shards(tmp_path / "corpus", [written[:30], written[30:50], [], written[50:]])
    elsewhere = workshop.annotate(corpus=tmp_path / "corpus", out=tmp_path / "run")
    assert "another text in row" in command("overlap", finished.root, elsewhere.root).error
