"""A classifier learns its labels, is an ordinary checkpoint that the judges and RAD read, and resumes to its bytes."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import Command
from interrupted import interrupt
from runs import KIND, RUDE, sentence
from tiny_classifiers import save_toxigen
from tiny_models import save_tiny_model, tiny_tokenizer
from transformers import BertConfig, BertForMaskedLM

from ifcurate.config import build
from ifcurate.errors import InputError
from ifcurate.evaluation.classifiers import load_classifier
from ifcurate.evaluation.reward_decoding import load_reward_model
from ifcurate.model.checkpoints import load_tokenizer
from ifcurate.pipelines.reward_model import RewardModelSummary, train_reward_model
from ifcurate.pipelines.reward_model_config import RewardModelConfig

ROWS = 240


def labelled() -> list[dict[str, Any]]:
    generator = random.Random(0)
    rows = []
    for number in range(ROWS):
        rude = generator.random() < 0.4
        text = f"{number} {sentence(generator, RUDE if rude else KIND)}"
        rows.append({"text": text, "label": int(rude), "meta": {"kind": "rude" if rude else "kind"}})
    return rows


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("labelled")
    texts = [row["text"] for row in labelled()]
    (root / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in labelled()))
    save_tiny_model(root / "causal", texts, "gpt_neox", spread=0.05)
    tiny_tokenizer(texts).save_pretrained(root / "encoder")
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    torch.manual_seed(0)
    BertForMaskedLM(BertConfig(vocab_size=300, max_position_embeddings=64, **shape)).save_pretrained(root / "encoder")
    return root


@pytest.fixture
def settings(source: Path, tmp_path: Path) -> dict[str, Any]:
    return {
        "source": str(source / "rows.jsonl"),
        "model": str(source / "causal"),
        "out": str(tmp_path / "out"),
        "held_out": 0.25,
        "num_train_epochs": 4,
        "batch_size": 16,
        "learning_rate": 3e-3,
        "device": "cpu",
    }


def run(settings: dict[str, Any], **changes: Any) -> RewardModelSummary:
    return train_reward_model(build(RewardModelConfig, {**settings, **changes}))


def refusal(settings: dict[str, Any], **changes: Any) -> str:
    with pytest.raises(InputError) as error:
        run(settings, **changes)
    return str(error.value)


def weights(out: str | Path) -> bytes:
    return (Path(out) / "model.safetensors").read_bytes()


def test_a_causal_model_becomes_a_judge_and_a_reward_model(settings: dict[str, Any], command: Command) -> None:
    found = run(settings)
    assert found.auc.low > 0.9
    assert found.accuracy.value > 0.85
    assert found.trained + found.held_out == ROWS
    assert 0.3 < found.base_rate.value < 0.5
    judge = load_classifier(f"hf:{settings['out']}", "toxic", "cpu")
    rude, kind = judge.score(["7 The river was rotten, 日本 and garden.", "7 The river was gentle, 日本 and garden."])[
        :, 0
    ]
    assert rude > 0.5 > kind
    reward = load_reward_model(settings["out"], load_tokenizer(settings["model"]))
    assert (reward.output, reward.inverted) == (0, True)
    words = [
        word for name, value in settings.items() if name != "source" for word in (f"--{name.replace('_', '-')}", value)
    ]
    again = command("reward-model", settings["source"], *words)
    assert again.code == 0
    assert "AUC" in again.out
    assert f"{found.auc.value:.4f} [{found.auc.low:.4f}, {found.auc.high:.4f}]" in again.out
    assert "is trained already" in again.err


def test_an_encoder_becomes_a_judge(settings: dict[str, Any], source: Path) -> None:
    given = {"model": str(source / "encoder"), "label_column": "meta.kind", "positive": "rude", "label": "rude"}
    found = run(settings, **given, max_length=24, num_train_epochs=15)
    assert found.auc.low > 0.8
    assert found.trained_cut == found.held_out_cut == 0
    judge = load_classifier(f"hf:{settings['out']}", "rude", "cpu")
    assert judge.labels == ("rude",)
    judge.score(["a text that is longer than twenty-four tokens of this tokenizer, by far, and by more"])
    assert judge.texts_cut == 1


def test_resumes_to_the_same_weights(
    settings: dict[str, Any], messages: Callable[[], list[str]], tmp_path: Path
) -> None:
    given = {**settings, "num_train_epochs": 1, "save_steps": 4}
    first = run(given)
    expected, out = weights(settings["out"]), Path(settings["out"])
    steps = first.steps
    assert steps > 8
    again = tmp_path / "again"
    run({**given, "out": str(again)})
    assert weights(again) == expected
    (out / "metrics.json").unlink()
    (out / "model.safetensors").unlink()
    before = len(messages())
    resumed = run(given)
    assert weights(out) == expected, "all steps were done: none is done again"
    assert not any(line.startswith("step ") for line in messages()[before:])
    assert (resumed.steps, resumed.auc) == (steps, first.auc)


def test_a_stopped_training_goes_on(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from ifcurate.evaluation.loss_log import LossLog

    given = {**settings, "num_train_epochs": 1, "save_steps": 4}
    run({**given, "out": str(tmp_path / "whole")})
    on_step_end = LossLog.on_step_end
    began: list[int] = []

    interrupt(6, lambda: run(given))
    assert not (Path(settings["out"]) / "model.safetensors").exists()

    def note(self: LossLog, args: Any, state: Any, control: Any, **others: Any) -> None:
        began.append(state.global_step)
        on_step_end(self, args, state, control, **others)

    monkeypatch.setattr(LossLog, "on_step_end", note)
    run(given)
    assert began[0] == 5
    assert weights(settings["out"]) == weights(tmp_path / "whole")


def test_refuses_what_cannot_be_trained(settings: dict[str, Any], source: Path, tmp_path: Path) -> None:
    assert "cannot be made a classifier of one output" in refusal(settings, model=str(save_toxigen(tmp_path / "two")))
    assert "there is no such folder" in refusal(settings, model=str(tmp_path / "none" / "model"))
    assert "more than the 64 that the model reads" in refusal(settings, max_length=65)
    with pytest.raises(InputError, match="beside --negative"):
        build(RewardModelConfig, {**settings, "negative": "kind"})
    assert "does not divide the 16 examples" in refusal(settings, per_device_train_batch_size=5)
    shutil.rmtree(settings["out"], ignore_errors=True)
    short = {**settings, "num_train_epochs": 0.1, "max_length": 8}
    cut = run(short)
    assert (cut.trained_cut, cut.held_out_cut) == (cut.trained, cut.held_out)
    assert "option --learning-rate: " in refusal(short, learning_rate=1e-3)
    other = tmp_path / "other.jsonl"
    other.write_text(Path(settings["source"]).read_text() + json.dumps({"text": "one more", "label": 0}) + "\n")
    shutil.copy(settings["source"], tmp_path / "copy.jsonl")
    assert "option --source: " in refusal(short, source=str(other))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").touch()
    assert "is in use by something else" in refusal(short, out=str(tmp_path / "full"))
