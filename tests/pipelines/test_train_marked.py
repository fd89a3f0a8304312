"""Marked tokens that leave the text, or stand behind a control token, from training to evaluation."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from train_inputs import refused, train_inputs, weights
from transformers import AutoModelForCausalLM, AutoTokenizer

from ifcurate.config import build
from ifcurate.evaluation.config import FluencyConfig, ToxicityConfig
from ifcurate.model.control_tokens import load_control_tokens
from ifcurate.pipelines.evaluate import evaluate_toxicity
from ifcurate.pipelines.fluency import evaluate_fluency
from ifcurate.pipelines.train import train
from ifcurate.training.config import PRESETS, TrainConfig

WORDS = 18
"""Tokens of the tokenizer; the model has 32 rows."""


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Any]:
    return train_inputs(tmp_path)


def test_removed_tokens_are_neither_read_nor_learnt(
    inputs: dict[str, Any], messages: Callable[[], list[str]], tmp_path: Path
) -> None:
    settings = {**inputs, "marked": "remove", "behaviour": ["toxic", "private"], "eval_file": inputs["data"]}
    summary = train(build(TrainConfig, settings))
    assert any("marked tokens removed, <|hidden|> for a run of them" in line for line in messages())
    model, tokenizer = (kind.from_pretrained(inputs["out"]) for kind in (AutoModelForCausalLM, AutoTokenizer))
    assert tokenizer.convert_tokens_to_ids("<|hidden|>") == WORDS
    assert model.generation_config.suppress_tokens == [WORDS]
    assert load_control_tokens(inputs["out"]).prefix == ()
    marked = sum(share * 24 for share in summary.marked_shares.values())
    assert summary.labels == 24 - marked + 8 + 7  # delimiters: a start and an end a document, the first of all no label
    assert summary.loss_marked is None
    plain = train(build(TrainConfig, {**inputs, "out": str(tmp_path / "plain")}))
    assert plain.labels == 24 + 8 + 7


def test_a_tagged_model_writes_otherwise_behind_good_than_behind_bad(inputs: dict[str, Any], tmp_path: Path) -> None:
    train(
        build(
            TrainConfig,
            {**inputs, "marked": "tag", "max_steps": 60, "learning_rate": 3e-2, "eval_file": inputs["data"]},
        )
    )
    model, tokenizer = (kind.from_pretrained(inputs["out"]) for kind in (AutoModelForCausalLM, AutoTokenizer))
    good, bad = tokenizer.convert_tokens_to_ids(["<|good|>", "<|bad|>"])
    assert (good, bad) == (WORDS, WORDS + 1)
    assert load_control_tokens(inputs["out"]).prefix == (good,)
    read = tokenizer.convert_tokens_to_ids(["you", "are"])
    vile = tokenizer.convert_tokens_to_ids("vile")
    with torch.no_grad():
        ids = [[0, good, *read], [0, good, *read, bad]]
        behind_good, behind_bad = (model(torch.tensor([own])).logits[0, -1].softmax(-1)[vile] for own in ids)
    assert behind_bad > 0.4 and behind_bad > 4 * behind_good


def test_rows_are_added_where_the_model_has_none_left_and_resume_keeps_them(
    inputs: dict[str, Any], tmp_path: Path
) -> None:
    model = AutoModelForCausalLM.from_pretrained(inputs["model"])
    model.resize_token_embeddings(WORDS, mean_resizing=False)
    model.save_pretrained(inputs["model"])
    settings = {**inputs, "marked": "tag", "save_steps": 2, "save_total_limit": 9}
    train(build(TrainConfig, settings))
    trained = AutoModelForCausalLM.from_pretrained(inputs["out"])
    assert trained.get_input_embeddings().num_embeddings == trained.config.vocab_size == WORDS + 2
    expected, out = weights(inputs["out"]), Path(inputs["out"])
    shutil.rmtree(out / "checkpoint-6")
    (out / "model.safetensors").unlink()
    (out / "metrics.json").unlink()
    train(build(TrainConfig, settings))
    assert weights(out) == expected


def test_evaluation_reads_behind_the_good_token_and_draws_none(inputs: dict[str, Any], tmp_path: Path) -> None:
    train(build(TrainConfig, {**inputs, "marked": "tag", "max_steps": 2}))
    (tmp_path / "prompts.jsonl").write_text('{"prompt": "you are"}\n{"prompt": "a dog"}\n')
    config = {"models": [inputs["out"]], "out": str(tmp_path / "results"), "device": "cpu"}
    sampling = {"prompts": [str(tmp_path / "prompts.jsonl")], "completions": 20, "max_new_tokens": 8}
    toxicity = ToxicityConfig(**config, **sampling, classifier="profanity-check")
    (folder,) = evaluate_toxicity(toxicity)
    (table,) = [
        pq.read_table(file) for file in folder.path.rglob("*.parquet") if "completions" in pq.read_schema(file).names
    ]
    assert b'"prefix": [18]' in table.schema.metadata[b"ifcurate"]
    assert not any("<|" in text for texts in table["completions"].to_pylist() for text in texts)
    fluency = evaluate_fluency(FluencyConfig(**config, text=inputs["data"]))[0].read().perplexity
    model = AutoModelForCausalLM.from_pretrained(inputs["out"])
    assert fluency is not None and fluency.tokens == 24 and model.config.vocab_size == 32


def test_what_has_no_penalty_takes_none(inputs: dict[str, Any]) -> None:
    assert "--marked remove has no penalty; leave out --penalty, and" in refused(inputs, marked="remove", penalty=["1"])
    assert "leave out --spare" in refused(inputs, marked="tag", spare="end")
    with pytest.raises(Exception, match="a --preset that sets it"):
        build(TrainConfig, {**inputs, "marked": "tag", "preset": "paper"}, presets=PRESETS)
    assert "no column 'hateful_spans'" in refused(inputs, marked="tag", behaviour=["hateful"])
