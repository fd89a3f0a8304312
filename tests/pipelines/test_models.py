"""Models of other shapes, from annotation through training and export."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gguf_files import write_gguf
from oracles import influence_by_autograd
from runs import Workshop, rows_of
from shapes import SHAPES
from tiny_models import save_tiny_model, tiny_model, tiny_tokenizer
from transformers import AutoModelForCausalLM, BertConfig, PreTrainedModel

from ifcurate.errors import InputError
from ifcurate.export.config import ExportConfig
from ifcurate.influence.direction import load_direction
from ifcurate.model.checkpoints import load_causal_lm
from ifcurate.model.stored import Stored
from ifcurate.model.windows import Window, collate
from ifcurate.pipelines.export import export
from ifcurate.pipelines.run import Run
from ifcurate.pipelines.train import train
from ifcurate.training.config import TrainConfig

CONTEXT = 32
SHORT = {"fit_tokens": 256, "context": CONTEXT}
QUICK = {"soft caps", "multimodal", "sinks and experts"}
"""Shapes of `make test`; all are of `make test-models`."""
WITH_EXPERTS = {"sinks and experts", "olmoe", "qwen3 moe", "mixtral", "mxfp4"}
MOST_ERROR = 1e-2
"""Of scores, relative: what finite differences are held to."""


def texts_of(workshop: Workshop) -> list[str]:
    return [row["text"] for row in rows_of(workshop.root / "corpus")]


def trained_and_exported(run: Run, model: Path, tmp_path: Path, **stored: Any) -> None:
    """Two steps with a penalty, and an export."""
    out = tmp_path / "trained"
    summary = train(
        TrainConfig(
            data=str(run.data), model=str(model), out=str(out), penalty=["toxic"], max_steps=2,
            tokens_per_step=64, context=32, watch=False, device="cpu", **stored,
        )
    )  # fmt: skip
    assert summary.steps == 2
    trained = load_causal_lm(str(out))
    base = {"adapter": None, "gguf_file": None, "dequantize": False, **stored}
    untrained = dict(load_causal_lm(str(model), stored=Stored(**base)).named_parameters())
    moved = [not torch.equal(parameter, untrained[name]) for name, parameter in trained.named_parameters()]
    assert len(moved) == len(untrained)
    assert any(moved)
    for name, parameter in trained.named_parameters():
        assert torch.allclose(parameter, untrained[name], atol=0.01), f"{name} is another weight"
    export(ExportConfig(data=str(run.root), out=str(tmp_path / "export"), format="hf", penalty=["1"]))
    assert any((tmp_path / "export").rglob("*.parquet"))


def require_scores_of_autograd(run: Run, model: PreTrainedModel) -> None:
    """In float64, on the first window of the longest document."""
    row = max(rows_of(run.data), key=lambda row: len(row["token_ids"]))
    token_ids = np.array(row["token_ids"][:CONTEXT], np.int32)
    assert len(token_ids) == CONTEXT
    direction = load_direction(run.direction("toxic"))
    expected = influence_by_autograd(model.double(), direction, collate([Window(0, 0, token_ids)], 0)).numpy()
    found = np.array(row["toxic_influence"][:CONTEXT])
    assert np.linalg.norm(found - expected) < MOST_ERROR * np.linalg.norm(expected)


@pytest.mark.parametrize(
    "shape", [name if name in QUICK else pytest.param(name, marks=pytest.mark.models) for name in SHAPES]
)
def test_a_shape_is_annotated_trained_on_and_exported(
    shape: str, workshop: Workshop, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ifcurate")
    stored = SHAPES[shape](tmp_path / "model")
    tiny_tokenizer(texts_of(workshop)).save_pretrained(tmp_path / "model")
    run = workshop.annotate(model=tmp_path / "model", out=tmp_path / "run", **stored, **SHORT)
    require_scores_of_autograd(run, load_causal_lm(str(tmp_path / "model"), stored=Stored(**stored)))
    [said] = [message for message in caplog.messages if message.startswith("influence is over")]
    tracked = load_direction(run.direction("toxic")).provenance["tracked"]
    assert 0.9 < tracked["tracked"] / tracked["total"] < 1
    routers = [name for name in tracked["left_out"] if "mlp.gate.weight" in name or "mlp.router.weight" in name]
    assert all(name in said for name in tracked["left_out"])
    assert bool(routers) == (shape in WITH_EXPERTS)
    trained_and_exported(run, tmp_path / "model", tmp_path, **stored)


def test_a_gguf_file_is_annotated_trained_on_and_exported(workshop: Workshop, tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer(texts_of(workshop))
    model = tiny_model("qwen2", intermediate_size=64)
    (tmp_path / "model").mkdir()
    write_gguf(model, tokenizer, tmp_path / "model/tiny.gguf")
    run = workshop.annotate(model=tmp_path / "model", out=tmp_path / "run", gguf_file="tiny.gguf", **SHORT)
    scores = np.concatenate([row["toxic_influence"] for row in rows_of(run.data)])
    assert np.isfinite(scores).all()
    assert scores.std() > 0
    trained_and_exported(run, tmp_path / "model", tmp_path, gguf_file="tiny.gguf")


def test_idle_experts_are_left_out_of_the_direction(
    workshop: Workshop, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ifcurate")
    save_tiny_model(tmp_path / "model", texts_of(workshop), "mixtral", num_local_experts=32, num_experts_per_tok=1)
    run = workshop.annotate(model=tmp_path / "model", out=tmp_path / "run", fit_tokens=16, context=8)
    assert any("experts that no token of the sample was sent to" in message for message in caplog.messages)
    direction = load_direction(run.direction("toxic"))
    experts = direction.tensors["model.layers.0.mlp.experts.down_proj"]
    idle = ~experts.flatten(1).any(1)
    assert 0 < int(idle.sum()) < 32
    assert "experts without a token in the sample" in direction.provenance["tracked"]["left_out"]


def test_a_run_is_over_an_adapter(workshop: Workshop, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    torch.manual_seed(0)
    config = peft.LoraConfig(r=2, target_modules=["q_proj", "up_proj"], init_lora_weights=False)
    base = AutoModelForCausalLM.from_pretrained(workshop.root / "model")
    peft.get_peft_model(base, config).save_pretrained(tmp_path / "adapter")
    run = workshop.annotate(out=tmp_path / "run", adapter=tmp_path / "adapter", **SHORT)
    direction = load_direction(run.direction("toxic"))
    assert direction.stored.adapter == str(tmp_path / "adapter")
    assert all(".lora_" in name for name in direction.tensors)
    trained_and_exported(run, workshop.root / "model", tmp_path)


def refused(workshop: Workshop, tmp_path: Path, **changes: Any) -> str:
    with pytest.raises(InputError) as error:
        workshop.annotate(model=tmp_path / "model", out=tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists(), "refused before anything is made"
    return str(error.value)


def test_what_cannot_be_scored_is_refused_before_anything_is_made(workshop: Workshop, tmp_path: Path) -> None:
    settings = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    model = AutoModelForCausalLM.from_config(BertConfig(vocab_size=300, is_decoder=False, **settings))
    model.save_pretrained(tmp_path / "model")
    tiny_tokenizer(texts_of(workshop)).save_pretrained(tmp_path / "model")
    assert "no causal language model" in refused(workshop, tmp_path)


def test_refinement_goes_through_experts_with_biases_and_sinks(workshop: Workshop, tmp_path: Path) -> None:
    save_tiny_model(tmp_path / "model", texts_of(workshop), "gpt_oss")
    run = workshop.annotate(
        model=tmp_path / "model", out=tmp_path / "run", refine="cg", refine_steps=2, refine_tokens=200, **SHORT
    )
    assert load_direction(run.direction("toxic")).provenance["refinement"]["steps"] == 2
