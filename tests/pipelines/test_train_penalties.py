"""Lambdas by influence, and what `npo` compares with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from annotated_corpora import annotate, word_tokenizer
from train_inputs import refused, train_inputs, weights
from transformers import AutoTokenizer

from ifcurate.config import build
from ifcurate.pipelines.train import train
from ifcurate.training.config import TrainConfig

BEHAVIOURS = ("toxic", "private")


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Any]:
    return {**train_inputs(tmp_path, scored=True), "penalty": ["toxic=1", "private=0.5"]}


def test_what_npo_compares_with_is_said(
    inputs: dict[str, Any], tmp_path: Path, messages: Callable[[], list[str]]
) -> None:
    settings = {**inputs, "penalty_form": "npo", "max_steps": 2}
    train(build(TrainConfig, settings))
    assert f"npo compares with the losses that {settings['data']} was annotated with" in messages()[0]
    scratch = {**settings, "model": None, "config_name": inputs["model"], "spare": "end"}
    train(build(TrainConfig, {**scratch, "out": str(tmp_path / "scratch"), "penalty_reference": "stored"}))
    assert any("was annotated with, spared tokens left in their softmax" in line for line in messages())
    train(build(TrainConfig, {**settings, "out": str(tmp_path / "model-named"), "penalty_reference": inputs["model"]}))
    assert weights(inputs["out"]) != weights(tmp_path / "model-named")
    data = annotate(tmp_path / "lossless-data", AutoTokenizer.from_pretrained(inputs["model"]), behaviours=BEHAVIOURS)
    lossless = {**settings, "data": str(data), "out": str(tmp_path / "lossless")}
    train(build(TrainConfig, lossless))
    assert any(
        f"npo compares with {inputs['model']}, frozen, on the packed rows: {data}/part-0.parquet: holds no" in line
        for line in messages()
    )
    assert weights(tmp_path / "lossless") == weights(tmp_path / "model-named")
    assert "holds no losses; annotate the corpus --with-loss" in refused(
        lossless, penalty_reference="stored", out=str(tmp_path / "never")
    )


@pytest.mark.parametrize("form", ["ascent", "unlikelihood", "clamped", "npo"])
def test_lambdas_by_influence_train_otherwise_than_equal_ones(
    form: str, inputs: dict[str, Any], tmp_path: Path, messages: Callable[[], list[str]]
) -> None:
    settings = {**inputs, "penalty_form": form, "max_steps": 2}
    train(build(TrainConfig, {**settings, "penalty_weights": "influence"}))
    assert any(f"{form} with lambda: toxic 1, private 0.5 in the mean, by influence" in line for line in messages())
    train(build(TrainConfig, {**settings, "out": str(tmp_path / "equal")}))
    assert weights(inputs["out"]) != weights(tmp_path / "equal")


def test_lambdas_by_influence_need_the_annotating_tokenizer(inputs: dict[str, Any], tmp_path: Path) -> None:
    settings = {**inputs, "penalty_weights": "influence"}
    word_tokenizer(tmp_path / "other", ["vile", "scum", "dog", "cat"])
    assert "the spans of another tokenizer's carry neither" in refused(settings, tokenizer=str(tmp_path / "other"))
    assert "add --penalty" in refused(settings, penalty=[])
