"""The shipped study of the demo, on a corpus and with a model small enough for a test."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tiny_models import save_tiny_model

from ifcurate.demo import corpus

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "studies" / "demo.yaml"
SMALL = {
    "training.max_steps": 2,
    "training.context": 64,
    "training.tokens_per_step": 256,
    "evaluation.completions": 2,
    "evaluation.max_new_tokens": 8,
    "annotation.fit_tokens": 256,
    "annotation.workers": 1,
    "reward_models.insults": json.dumps(
        {"source": "{demo}/corpus/*.parquet", "label_column": "subject", "positive": "city"}
        | {"num_train_epochs": 1, "held_out": 0.4}
    ),
    "decodings.rad.rad_k": 3,
}


def make_demo_world(folder: Path) -> Path:
    """What `ifcurate demo` leaves, in little: corpus, queries, prompts, held-out text, and a model not trained."""
    with pytest.MonkeyPatch.context() as patch:
        for name, number in {"SHARDS": 1, "QUERIES": 16, "HELD_OUT": 6, "PROMPTS": 8}.items():
            patch.setattr(corpus, name, number)
        corpus.write_demo_data(folder, 60, seed=0)
    texts = pq.read_table(folder / corpus.CORPUS)["text"].to_pylist()
    save_tiny_model(folder / "model", texts, "llama")
    return folder


def small(world: Path) -> list[str]:
    """Words that make the demo's study small."""
    return [f"--set=places.demo={world}", *(f"--set={name}={value}" for name, value in SMALL.items())]
