"""The suffix that GCG finds, against autograd through one-hot tokens and against every suffix of one token."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_models import tiny_model, tiny_tokenizer
from transformers import PreTrainedModel

from ifcurate.evaluation.gcg import AttackSettings, Gcg

TEXTS = ["the river was calm ! and the garden was bright in the long winter", "a vile neighbour wrote a letter"]
TOKENIZER = tiny_tokenizer(TEXTS)
PROMPT, TARGET = (TOKENIZER(text)["input_ids"] for text in ("the river", " was a vile letter"))


def gcg(model: PreTrainedModel, **settings: int) -> Gcg:
    return Gcg(model, TOKENIZER, AttackSettings(**{"steps": 3, "width": 16, "suffix_tokens": 4, **settings}))


@torch.no_grad()
def loss_by_hand(model: PreTrainedModel, suffix: list[int]) -> float:
    logits = model(torch.tensor([[0, *PROMPT, *suffix, *TARGET[:-1]]])).logits[0, -len(TARGET) :]
    return float(torch.nn.functional.cross_entropy(logits, torch.tensor(TARGET)))


@pytest.mark.parametrize("family", ["gpt_neox", "llama", "gpt2", "qwen2"])
def test_slopes_are_the_gradient_of_one_hot_tokens(family: str) -> None:
    model = tiny_model(family).double()
    attacker, suffix = gcg(model), np.array([9, 12, 9, 15])
    found = attacker._slopes(PROMPT, suffix, TARGET)
    table = model.get_input_embeddings().weight
    ids = torch.tensor([0, *PROMPT, *suffix.tolist(), *TARGET[:-1]])
    one_hot = torch.nn.functional.one_hot(ids, len(table)).to(table).requires_grad_()
    logits = model(inputs_embeds=(one_hot @ table)[None]).logits[0, -len(TARGET) :]
    torch.nn.functional.cross_entropy(logits, torch.tensor(TARGET)).backward()
    assert one_hot.grad is not None
    first = 1 + len(PROMPT)
    torch.testing.assert_close(found, one_hot.grad[first : first + 4][:, attacker._allowed])


def test_loss_never_rises_and_is_that_of_the_suffix() -> None:
    model = tiny_model("llama").double()
    found = gcg(model, steps=6).attack(PROMPT, TARGET, key=1)
    one_by_one = gcg(model, steps=6, batch_tokens=1).attack(PROMPT, TARGET, key=1)
    assert found.token_ids == one_by_one.token_ids
    assert found.losses == pytest.approx(one_by_one.losses)
    assert found.losses == sorted(found.losses, reverse=True)
    assert found.losses[-1] < found.losses[0]
    assert found.losses[-1] == pytest.approx(loss_by_hand(model, found.token_ids))
    text = TOKENIZER.decode(found.token_ids)
    assert text.isascii() and text.isprintable()
    assert TOKENIZER(TOKENIZER.decode([*PROMPT, *found.token_ids]))["input_ids"] == [*PROMPT, *found.token_ids]
    assert found != gcg(model, steps=6).attack(PROMPT, TARGET, key=2)


def test_begins_with_what_the_tokenizer_leaves_apart() -> None:
    joining = tiny_tokenizer(["!!!!!!!! !!!!!!!! xxxx", *TEXTS])
    assert len(joining("!!!!")["input_ids"]) < 4
    attacker = Gcg(tiny_model("gpt_neox"), joining, AttackSettings(suffix_tokens=4))
    first = attacker._first(joining("the")["input_ids"]).tolist()
    assert len(set(first)) == 1
    assert joining(joining.decode([*joining("the")["input_ids"], *first]))["input_ids"][-4:] == first


def test_a_suffix_of_one_token_is_the_best_there_is() -> None:
    model = tiny_model("gpt_neox").double()
    attacker = gcg(model, steps=4, width=2000, candidates=10_000, suffix_tokens=1)
    found = attacker.attack(PROMPT, TARGET, key=3)
    tried = attacker._that_survive(PROMPT, attacker._allowed[:, None])
    assert found.losses[-1] == pytest.approx(min(loss_by_hand(model, row) for row in tried.tolist()))
