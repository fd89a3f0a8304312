"""A small annotated corpus and a tiny model, as settings of a training of seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from annotated_corpora import annotate, tiny_neox, word_tokenizer

from ifcurate.config import build
from ifcurate.errors import InputError
from ifcurate.pipelines.train import train
from ifcurate.training.config import TrainConfig


def train_inputs(folder: Path, scored: bool = False) -> dict[str, Any]:
    """Writes model and corpus (of two behaviours) below `folder`."""
    tokenizer = word_tokenizer(tiny_neox(folder / "model"))
    data = annotate(folder / "data", tokenizer, behaviours=("toxic", "private"), scored=scored)
    return {
        "data": str(data),
        "model": str(folder / "model"),
        "out": str(folder / "out"),
        "max_steps": 6,
        "tokens_per_step": 32,
        "context": 16,
        "learning_rate": 1e-2,
        "logging_steps": 1,
        "watch": False,
        "device": "cpu",
    }


def weights(folder: str | Path) -> bytes:
    return (Path(folder) / "model.safetensors").read_bytes()


def refused(inputs: dict[str, Any], **changes: Any) -> str:
    """The sentence with which a training is refused."""
    with pytest.raises(InputError) as error:
        train(build(TrainConfig, {**inputs, **changes}))
    return str(error.value)
