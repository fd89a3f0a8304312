"""Losses under two models, against the models' own logits."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from runs import texts
from tiny_models import save_tiny_model

from ifcurate.annotators.base import Asked, Document
from ifcurate.annotators.excess_loss import ExcessLoss
from ifcurate.errors import InputError
from ifcurate.model.checkpoints import load_causal_lm, load_tokenizer, start_token
from ifcurate.model.windows import encode_documents

TEXTS = texts(20, seed=5)
CONTEXT = 24


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Asked:
    root = tmp_path_factory.mktemp("models")
    model, reference = (save_tiny_model(root / name, TEXTS, name) for name in ("llama", "gpt_neox"))
    return Asked(model=str(model), reference=str(reference), context=CONTEXT)


def losses_by_hand(place: str, token_ids: list[int], start: int) -> list[float]:
    """Of every token, in windows that each begin with the start token."""
    model, losses = load_causal_lm(place), []
    for first in range(0, len(token_ids), CONTEXT):
        window = token_ids[first : first + CONTEXT]
        with torch.no_grad():
            logits = model(torch.tensor([[start, *window[:-1]]])).logits[0]
        losses += torch.nn.functional.cross_entropy(logits, torch.tensor(window), reduction="none").tolist()
    return losses


def test_is_the_difference_of_losses(asked: Asked) -> None:
    tokenizer = load_tokenizer(asked.model)
    encodings = encode_documents(tokenizer, TEXTS)
    documents = [Document(each.token_ids, each.starts, each.ends) for each in encodings]
    state = ExcessLoss.prepare(asked)
    assert (state["context"], state["overlap"]) == (CONTEXT, 0) and state["model_hash"] != state["reference_hash"]
    marks = ExcessLoss(state, {}, asked).marks(documents)
    assert max(map(len, marks)) > CONTEXT
    for document, own in zip(documents, marks, strict=True):
        ids = document.token_ids.tolist()
        sides = [losses_by_hand(place, ids, start_token(tokenizer)) for place in (asked.model, str(asked.reference))]
        assert own == pytest.approx([one - other for one, other in zip(*sides, strict=True)], abs=2e-5)


def test_a_reference_of_another_tokenizer_is_refused(asked: Asked, tmp_path: Path) -> None:
    other = save_tiny_model(tmp_path / "other", ["quite another text", "zzz"])
    with pytest.raises(InputError, match=r"option --reference: .* has another tokenizer than"):
        ExcessLoss.prepare(Asked(model=asked.model, reference=str(other)))
