"""The odds of two answers against forward passes of the model, a text at a time."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from chats import chat_tokenizer, save_chat_model
from commands import Command
from tiny_models import tiny_model, tiny_tokenizer

from ifcurate.errors import InputError
from ifcurate.evaluation.auc import auc_interval
from ifcurate.evaluation.fluency import Reader
from ifcurate.evaluation.labelled_texts import LabelledTexts
from ifcurate.evaluation.recognition import Question, measure_recognition
from ifcurate.model.control_tokens import NO_CONTROL, ControlTokens
from ifcurate.model.ranks import Ranks

TEXTS = [
    "the river was calm",
    "a vile neighbour",
    "the garden was bright in the long long winter",
    "scum",
    "a letter",
    "a vile letter",
]
LABELLED = LabelledTexts(TEXTS, np.array([False, True, False, True, False, True]))
QUESTION = Question("Text: {text} Is it vile?", (" yes it is", " no"))
ALONE = Ranks(0, 1, "cpu")


@torch.no_grad()
def likelihood(model: torch.nn.Module, asked: list[int], answer: list[int]) -> float:
    logits = model(torch.tensor([asked + answer[:-1]])).logits[0, len(asked) - 1 :].log_softmax(-1)
    return sum(float(row[token]) for row, token in zip(logits, answer, strict=True))


@pytest.mark.parametrize("prefix", [(), (5, 6)])
def test_is_what_the_odds_of_both_answers_say(prefix: tuple[int, ...]) -> None:
    tokenizer = tiny_tokenizer([*TEXTS, QUESTION.template, *QUESTION.answers])
    model = tiny_model("gpt_neox").double()
    answers = [tokenizer(answer)["input_ids"] for answer in QUESTION.answers]
    assert len(answers[0]) > len(answers[1])
    asked = [[0, *prefix, *tokenizer(QUESTION.template.replace("{text}", text))["input_ids"]] for text in TEXTS]
    longest = max(map(len, asked))
    context = longest - 1 + len(answers[0]) - 1  # the longest question is a token too long
    kept = np.array([len(ids) < longest for ids in asked])
    chances = np.array([[likelihood(model, ids, answer) for answer in answers] for ids in asked])[kept]
    odds, positive = chances[:, 0] - chances[:, 1], LABELLED.positive[kept]
    control = ControlTokens(prefix, prefix) if prefix else NO_CONTROL
    found = measure_recognition(Reader(model, 60, ALONE), tokenizer, LABELLED, QUESTION, context, 0, control)
    assert (found.texts, found.positive, found.left_out) == (5, 3, 1)
    assert found.auc == auc_interval(odds, positive, 0)
    assert found.said_of_positive.value == np.mean(odds[positive] > 0)
    assert found.said_of_negative.value == np.mean(odds[~positive] > 0)
    assert found.answered.value == pytest.approx(np.exp(chances).sum(1).mean(), rel=1e-6)


def test_as_a_message_it_is_rendered() -> None:
    tokenizer = chat_tokenizer(texts=(*TEXTS, QUESTION.template))
    asked = Question(QUESTION.template, QUESTION.answers, as_message=True).token_ids(tokenizer, "scum")
    message = [{"role": "user", "content": "Text: scum Is it vile?"}]
    rendered = tokenizer.apply_chat_template(message, add_generation_prompt=True, tokenize=False)
    assert tokenizer.decode(asked) == tokenizer.decode(tokenizer(rendered, add_special_tokens=False)["input_ids"])


@pytest.mark.parametrize(
    ("question", "context", "message"),
    [
        (Question("Is it vile?", (" yes", " no")), 64, "has no {text}"),
        (Question("{text}", (" yes", " yes")), 64, "not two different answers"),
        (Question("{text}", ("", " no")), 64, "not two different answers"),
        (QUESTION, 6, "not of both labels"),
        (Question("{text}", (" yes", " no"), as_message=True), 64, "has no chat template"),
    ],
)
def test_what_cannot_be_asked_is_refused(question: Question, context: int, message: str) -> None:
    tokenizer = tiny_tokenizer([*TEXTS, QUESTION.template])
    with pytest.raises(InputError, match=message):
        measure_recognition(Reader(tiny_model("gpt_neox"), 60, ALONE), tokenizer, LABELLED, question, context, 0)


def test_over_the_command_line_it_joins_what_is_known_of_a_model(tmp_path: Path, command: Command) -> None:
    model = save_chat_model(tmp_path / "model", texts=TEXTS)
    rows = [{"text": text, "label": int(label)} for text, label in zip(TEXTS, LABELLED.positive, strict=True)]
    (tmp_path / "tweets.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for question in ([], ["--as-message"]):
        given = ["--texts", tmp_path / "tweets.jsonl", "--out", tmp_path / "out", "--device", "cpu", *question]
        done = command("eval", "recognition", model, *given, "--question", "{text}?", "--context", "64")
        assert done.code == 0, done.err
        assert "of 6" in done.out
    known = json.loads((tmp_path / "out/model/evaluation.json").read_text())
    assert known["recognition"]["tweets"]["texts"] == 6
