"""`ifcurate dpo`: what pairs teach, against the probabilities of the models themselves."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from annotated_corpora import tiny_neox, word_tokenizer
from commands import Command
from interrupted import interrupt
from tiny_models import save_tiny_model

from ifcurate.config import build
from ifcurate.errors import InputError
from ifcurate.evaluation.pair_training import encode_pairs
from ifcurate.evaluation.preferences import Pair, read_pairs, write_pairs
from ifcurate.model.checkpoints import load_causal_lm, load_tokenizer, start_token
from ifcurate.model.control_tokens import ControlTokens
from ifcurate.pipelines.dpo import DpoSummary, train_on_pairs
from ifcurate.pipelines.dpo_config import DpoConfig

CHOSEN, REJECTED = (" kind words", " sat down"), (" vile words", " fell")
PAIRS = [
    Pair(f"the {who} said", chosen, rejected, 0.1, 0.9)
    for who in ("cat", "dog", "man", "girl", "old man", "other cat")
    for chosen, rejected in zip(CHOSEN, REJECTED, strict=True)
]
BETA = 0.2


@pytest.fixture
def given(tmp_path: Path) -> dict[str, Any]:
    pytest.importorskip("trl", reason="needs TRL: pip install 'ifcurate[trl]'")
    texts = [pair.prompt + text for pair in PAIRS for text in (pair.chosen, pair.rejected)]
    save_tiny_model(tmp_path / "model", texts, "llama")
    (tmp_path / "pairs").mkdir()
    write_pairs(tmp_path / "pairs/pairs.jsonl", PAIRS)
    return {
        "model": str(tmp_path / "model"),
        "pairs": str(tmp_path / "pairs"),
        "out": str(tmp_path / "out"),
        "beta": BETA,
        "batch_size": 4,
        "num_train_epochs": 4,
        "learning_rate": 5e-3,
        "device": "cpu",
    }


def run(given: dict[str, Any]) -> DpoSummary:
    return train_on_pairs(build(DpoConfig, given))


def refusal(given: dict[str, Any], **changes: Any) -> str:
    with pytest.raises(InputError) as refused:
        run({**given, **changes})
    return str(refused.value)


def log_probability(place: str, prompt: str, completion: str) -> float:
    """Of the completion's tokens behind the prompt, in nats."""
    tokenizer, model = load_tokenizer(place), load_causal_lm(place)
    before = tokenizer(prompt)["input_ids"]
    ids = torch.tensor([tokenizer(prompt + completion)["input_ids"]])
    assert ids[0, : len(before)].tolist() == before
    with torch.no_grad():
        found = model(ids).logits[0, :-1].log_softmax(-1).gather(1, ids[0, 1:, None])[:, 0]
    return float(found[len(before) - 1 :].sum())


def test_the_chosen_completion_gains_on_the_rejected_one(given: dict[str, Any]) -> None:
    found = run(given)
    assert (found.pairs, found.cut, found.steps) == (len(PAIRS), 0, 12)
    gains = [
        (log_probability(given["out"], pair.prompt, text) - log_probability(given["model"], pair.prompt, text))
        for pair in PAIRS
        for text in (pair.chosen, pair.rejected)
    ]
    margins = [BETA * (chosen - rejected) for chosen, rejected in zip(gains[::2], gains[1::2], strict=True)]
    assert min(margins) > 0 and found.accuracy == 1
    last = json.loads((Path(given["out"]) / "checkpoint-12/trainer_state.json").read_text())["log_history"]
    logged = [entry for entry in last if "rewards/margins" in entry]
    assert logged[0]["loss"] == pytest.approx(math.log(2), abs=1e-6)
    mean = sum(margins) / len(margins)
    assert found.margin == pytest.approx(mean, rel=0.2), "that of the last batch, before its step"
    assert found.loss < logged[0]["loss"]
    again = run(given)
    assert again == found


def test_a_stopped_training_goes_on(given: dict[str, Any], tmp_path: Path) -> None:
    given["save_steps"] = 4
    run({**given, "out": str(tmp_path / "whole")})
    interrupt(6, lambda: run(given))
    assert not (Path(given["out"]) / "model.safetensors").exists()
    run(given)
    weights = [Path(folder, "model.safetensors").read_bytes() for folder in (given["out"], tmp_path / "whole")]
    assert weights[0] == weights[1]


def test_nothing_is_put_behind_completions_and_prompts_lose_their_beginning(given: dict[str, Any]) -> None:
    tokenizer = load_tokenizer(given["model"])
    rows, cut = encode_pairs(PAIRS, tokenizer, 1024)
    assert cut == 0
    for pair, row in zip(PAIRS, rows, strict=True):
        prompt = row["prompt_ids"]
        assert prompt == tokenizer(pair.prompt)["input_ids"]
        assert prompt + row["chosen_ids"] == tokenizer(pair.prompt + pair.chosen)["input_ids"]
        assert prompt + row["rejected_ids"] == tokenizer(pair.prompt + pair.rejected)["input_ids"]
    room = max(len(rows[0][side]) for side in ("chosen_ids", "rejected_ids"))
    shortened, cut = encode_pairs(PAIRS[:1], tokenizer, room + 2)
    assert cut == 1 and shortened[0]["prompt_ids"] == rows[0]["prompt_ids"][-2:]
    without, _ = encode_pairs([Pair("", "kind", "vile", 0, 1)], tokenizer, 1024)
    assert without[0]["prompt_ids"][0] == start_token(tokenizer)
    with pytest.raises(InputError, match="pair 1: a completion is empty or fills the"):
        encode_pairs(PAIRS, tokenizer, room)


def test_what_cannot_be_trained_is_refused(given: dict[str, Any], tmp_path: Path) -> None:
    assert "there is no such file" in refusal(given, pairs=str(tmp_path / "none"))
    file = tmp_path / "pairs/pairs.jsonl"
    whole = file.read_text()
    for line, problem in (
        ("[]", "line 13: is no JSON object with"),
        ('{"prompt": "a", "chosen": "b"}', "line 13: is no JSON"),
        ('{"prompt": "a", "chosen": "b", "rejected": ""}', "line 13: chosen and rejected must be texts"),
    ):
        file.write_text(whole + line)
        assert problem in refusal(given)
    file.write_bytes(whole.encode() + b'{"prompt": "\xff"}')
    assert "line 13: is no JSON" in refusal(given)
    file.write_text("")
    assert "holds no pair" in refusal(given)
    file.write_text(whole)
    tagged = load_causal_lm(given["model"])
    ControlTokens(prefix=(1,), banned=(1,)).write(tagged)
    tagged.save_pretrained(tmp_path / "tagged")
    load_tokenizer(given["model"]).save_pretrained(tmp_path / "tagged")
    assert "is read behind a control token" in refusal(given, model=str(tmp_path / "tagged"))
    assert not Path(given["out"]).exists()
    run({**given, "num_train_epochs": 0.1})
    assert "was made with 0.1, not 4" in refusal(given)


def test_pairs_are_read_as_they_were_written(tmp_path: Path) -> None:
    write_pairs(tmp_path / "pairs", PAIRS)
    assert read_pairs(tmp_path / "pairs") == PAIRS


def test_over_the_command_line(tmp_path: Path, command: Command) -> None:
    pytest.importorskip("trl", reason="needs TRL: pip install 'ifcurate[trl]'")
    model = tiny_neox(tmp_path / "model")
    word_tokenizer(model)
    write_pairs(tmp_path / "pairs.jsonl", [Pair("the cat", " sat on", " a mat", 0, 1)] * 8)
    done = command("dpo", model, tmp_path / "pairs.jsonl", "--out", tmp_path / "out")
    assert done.code == 0, done.err
    assert "8 pairs, 0 of them with the beginning of the prompt cut, in 1 steps" in done.out
    assert (tmp_path / "out/model.safetensors").is_file()
