from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from annotated_corpora import word_tokenizer
from train_inputs import refused, train_inputs, weights
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Config, GPT2LMHeadModel

from ifcurate.config import build
from ifcurate.errors import InputError
from ifcurate.pipelines.train import TRAINING_FILE, train
from ifcurate.training.arguments import refuse_data_parallel
from ifcurate.training.config import PRESETS, TrainConfig


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Any]:
    return train_inputs(tmp_path)


def test_writes_an_ordinary_checkpoint_that_its_settings_replay(inputs: dict[str, Any], tmp_path: Path) -> None:
    summary = train(TrainConfig(**inputs, penalty=["toxic"], eval_file=inputs["data"]))
    model = AutoModelForCausalLM.from_pretrained(inputs["out"])
    tokens = AutoTokenizer.from_pretrained(inputs["out"])("you are vile", return_tensors="pt")
    assert model(input_ids=tokens["input_ids"]).logits.isfinite().all()
    assert summary.steps == 6
    assert summary.loss_marked is not None
    assert summary.held_out_perplexity == pytest.approx(math.exp(summary.held_out_loss))
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["steps"] == 6
    again = build(TrainConfig, {"out": str(tmp_path / "again")}, tmp_path / "out" / TRAINING_FILE)
    train(again)
    assert weights(inputs["out"]) == weights(tmp_path / "again")
    assert not (tmp_path / "out" / "packed").exists()


def test_resumes_to_the_same_weights(
    inputs: dict[str, Any], tmp_path: Path, messages: Callable[[], list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    config = TrainConfig(**inputs, penalty=["toxic"], save_steps=2, save_total_limit=9)
    train(config)
    expected = weights(inputs["out"])
    out = Path(inputs["out"])
    shutil.rmtree(out / "checkpoint-6")
    (out / "model.safetensors").unlink()
    (out / "metrics.json").unlink()
    caplog.clear()
    for name in ("trainer_state.json", "checksums.json"):  # a kill in the middle of a checkpoint
        (out / "checkpoint-4" / name).unlink()
    train(config)
    lines = messages()
    assert weights(out) == expected
    assert any("step 3/6" in line for line in lines)
    assert not any("step 2/6" in line for line in lines)


def test_the_penalty_raises_the_loss_of_marked_tokens(inputs: dict[str, Any], tmp_path: Path) -> None:
    settings = {**inputs, "max_steps": 30}
    marked = {}
    for name, penalty in (("plain", "toxic=0"), ("pushed", "toxic=1")):
        summary = train(TrainConfig(**{**settings, "out": str(tmp_path / name)}, penalty=[penalty]))
        marked[name] = summary.loss_marked
    assert marked["pushed"] > marked["plain"] + 0.5


def test_several_behaviours_have_a_lambda_each(inputs: dict[str, Any]) -> None:
    summary = train(TrainConfig(**inputs, penalty=["toxic=1", "private=0.5"]))
    assert set(summary.marked_shares) == {"toxic", "private"}


def test_trains_from_scratch(inputs: dict[str, Any], tmp_path: Path) -> None:
    settings = {**inputs, "model": None, "num_train_epochs": 2.0, "max_steps": None}
    as_folder = train(TrainConfig(**settings, config_name=inputs["model"]))
    as_file = TrainConfig(
        **{**settings, "out": str(tmp_path / "file")},
        config_name=f"{inputs['model']}/config.json",
        tokenizer=inputs["model"],
    )
    train(as_file)
    assert as_folder.steps > 1
    assert weights(inputs["out"]) == weights(tmp_path / "file")


def test_trains_in_bfloat16_without_a_gpu(inputs: dict[str, Any]) -> None:
    summary = train(TrainConfig(**inputs | {"device": "auto", "dtype": "bfloat16", "max_steps": 1}, penalty=["toxic"]))
    assert summary.steps == 1
    assert summary.loss_marked is not None


def test_a_gpt2_checkpoint_stays_one(inputs: dict[str, Any], tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=32, n_embd=16, n_layer=1, n_head=2, n_positions=16)
    word_tokenizer(tmp_path / "gpt2")
    model = GPT2LMHeadModel(config)
    model.save_pretrained(tmp_path / "gpt2")
    train(TrainConfig(**{**inputs, "model": str(tmp_path / "gpt2"), "learning_rate": 1e-9}))
    after = AutoModelForCausalLM.from_pretrained(inputs["out"]).state_dict()
    for name, value in model.state_dict().items():
        torch.testing.assert_close(after[name], value, atol=1e-6, rtol=0)


def test_samples_text_without_changing_the_weights(inputs: dict[str, Any], tmp_path: Path) -> None:
    settings = {**inputs, "max_steps": 2, "watch": True}
    summary = train(TrainConfig(**settings))
    train(TrainConfig(**{**settings, "watch": False, "out": str(tmp_path / "unwatched")}))
    assert summary.repeated_share is not None
    assert weights(inputs["out"]) == weights(tmp_path / "unwatched")


def test_refuses_what_cannot_be_trained(inputs: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").touch()
    assert "is in use" in refused(inputs)
    (tmp_path / "out" / "notes.txt").rename(tmp_path / "out" / "training.yaml.0123abcd.part")  # of a killed training
    assert "no multiple of 16 tokens" in refused(inputs, tokens_per_step=33)
    shutil.rmtree(tmp_path / "out")
    assert "does not divide the 2 rows" in refused(inputs, per_device_train_batch_size=4)
    shutil.rmtree(tmp_path / "out")
    assert "no column 'hateful_spans'" in refused(inputs, penalty=["hateful=1"])
    shutil.rmtree(tmp_path / "out")
    word_tokenizer(tmp_path / "wide", [f"word{index}" for index in range(40)])
    assert "token ids up to 42" in refused(inputs, tokenizer=str(tmp_path / "wide"))
    assert "no configuration of a causal" in refused(
        inputs, model=None, config_name=str(tmp_path / "none"), tokenizer=inputs["model"]
    )
    assert "either --model" in refused(inputs, model=None)
    assert "either --max-steps or --num-train-epochs" in refused(inputs, num_train_epochs=1.0)


def test_damaged_metrics_are_one_sentence_and_can_be_made_again(inputs: dict[str, Any], tmp_path: Path) -> None:
    settings = {**inputs, "max_steps": 3, "save_steps": 1}
    before, weights_before = train(TrainConfig(**settings)), weights(inputs["out"])
    for damaged in ("{", '{"steps": 2}', "[]"):
        (tmp_path / "out" / "metrics.json").write_text(damaged)
        assert "metrics.json: is damaged or of another version; delete it" in refused(settings)
    (tmp_path / "out" / "metrics.json").unlink()
    (tmp_path / "out" / "packed").mkdir()
    again = train(TrainConfig(**settings))
    assert (again.steps, again.loss_unmarked) == (before.steps, before.loss_unmarked), "not a step more"
    assert weights(inputs["out"]) == weights_before
    (tmp_path / "out" / "packed").mkdir()  # what a kill after the metrics leaves
    assert train(TrainConfig(**settings)) == again
    assert not (tmp_path / "out" / "packed").exists()


def test_resume_refuses_another_training(inputs: dict[str, Any], tmp_path: Path) -> None:
    settings = {**inputs, "max_steps": 1}
    train(TrainConfig(**settings))
    assert "--learning-rate" in refused(settings, learning_rate=1.0)
    shutil.copy(tmp_path / "data" / "part-0.parquet", tmp_path / "data" / "part-9.parquet")
    assert "is not what" in refused(settings)


@pytest.mark.parametrize(
    ("penalty", "expected"),
    [
        ([], {}),
        (["toxic"], {"toxic": 1.0}),
        (["0"], {"toxic": 0.0, "private": 0.0}),
        (["toxic=0.5", "private=2"], {"toxic": 0.5, "private": 2.0}),
    ],
)
def test_penalties_are_read(penalty: list[str], expected: dict[str, float]) -> None:
    config = TrainConfig(data="d", out="o", model="m", behaviour=["toxic", "private"], penalty=penalty)
    assert config.penalties == expected


@pytest.mark.parametrize(
    "options",
    [
        {"penalty_form": "clamped", "spare": "end"},
        {"penalty_form": "clamped", "penalty_clamp": "base+1"},
        {"penalty_form": "npo", "spare": "end"},
        {"preset": "recommended"},
    ],
)
def test_every_form_trains_and_stops_less_far_than_ascent(
    options: dict[str, str], inputs: dict[str, Any], tmp_path: Path
) -> None:
    settings = {**inputs, "max_steps": 30, "penalty": ["toxic=1"]}
    pushed = train(build(TrainConfig, settings))
    other = train(build(TrainConfig, {**settings, **options, "out": str(tmp_path / "other")}, presets=PRESETS))
    assert other.loss_marked is not None and pushed.loss_marked is not None
    assert other.loss_marked != pushed.loss_marked
    if "penalty_form" in options:
        assert other.loss_marked < pushed.loss_marked


def test_a_penalty_that_starts_late_pushes_less(inputs: dict[str, Any], tmp_path: Path) -> None:
    settings = {**inputs, "max_steps": 30, "penalty": ["toxic=1"]}
    whole = train(build(TrainConfig, settings))
    late = train(build(TrainConfig, {**settings, "penalty_start": 0.8, "out": str(tmp_path / "late")}))
    assert late.loss_marked is not None and whole.loss_marked is not None
    assert late.loss_marked < whole.loss_marked
    assert "--penalty-start below --penalty-end" in refused(settings, penalty_start=0.5, penalty_end=0.5)


def test_a_reference_is_needed_from_scratch(inputs: dict[str, Any]) -> None:
    scratch = {**inputs, "model": None, "config_name": inputs["model"], "penalty_form": "npo", "penalty": ["toxic=1"]}
    assert "option --penalty-reference: is required for --penalty-form npo" in refused(scratch)


def test_several_gpus_in_one_process_are_refused() -> None:
    with pytest.raises(InputError, match=r"has 4 GPUs, .* `torchrun --nproc-per-node 4 --no-python ifcurate train"):
        refuse_data_parallel(4)
    refuse_data_parallel(1)
    refuse_data_parallel(0)


def test_a_number_in_yaml_is_what_it_is_on_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("data: d\nout: o\nmodel: m\npenalty: 1\n")
    assert build(TrainConfig, {}, tmp_path / "a.yaml").penalties == {"toxic": 1.0}
    (tmp_path / "a.yaml").write_text("data: d\nout: o\nmodel: m\npreset: [paper]\n")
    with pytest.raises(InputError, match=r"a.yaml: option --preset: Input should be a valid string"):
        build(TrainConfig, {}, tmp_path / "a.yaml", PRESETS)


@pytest.mark.parametrize("penalty", ["toxic=", "-1", "toxic=nan", "toxic=inf", "a b"])
def test_penalties_that_are_none_are_refused(penalty: str) -> None:
    with pytest.raises(InputError, match="finite LAMBDA"):
        build(TrainConfig, {"data": "d", "out": "o", "model": "m", "penalty": [penalty]})


def test_a_preset_yields_to_what_is_given() -> None:
    given = {"data": "d", "out": "o", "model": "m", "preset": "paper"}
    assert build(TrainConfig, given, presets=PRESETS).penalties == {"toxic": 1.0}
    assert build(TrainConfig, {**given, "penalty": ["0.7"]}, presets=PRESETS).penalties == {"toxic": 0.7}
    assert build(TrainConfig, {**given, "preset": "gentle"}, presets=PRESETS).penalties == {"toxic": 1.0}


def test_defaults_are_the_papers() -> None:
    fine_tuning = TrainConfig(data="d", out="o", model="m")
    scratch = TrainConfig(data="d", out="o", config_name="m")
    assert (fine_tuning.rate, scratch.rate) == (6e-5, 6e-4)
    assert fine_tuning.steps_over(10, 2) == 2000
    assert scratch.steps_over(11, 2) == 24
    assert fine_tuning.tokens_per_step == 524_288
