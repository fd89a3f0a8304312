"""Cosines of gradients, against those of the model's own loss."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from runs import texts
from tiny_models import save_tiny_model

from ifcurate.annotators.base import Asked, Document
from ifcurate.annotators.less import Less
from ifcurate.errors import InputError
from ifcurate.model.checkpoints import load_causal_lm, load_tokenizer, start_token
from ifcurate.model.layers import tracked_parameters
from ifcurate.model.windows import encode_documents

TEXTS = [*texts(12, seed=5), ""]
SIDES = {"queries": ["a vile dog", "The report was rotten and vile."], "contrast": ["a kind dog and its kind report"]}
CONTEXT = 24


@pytest.fixture(scope="module", params=["llama", "gpt_neox"])
def asked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Asked:
    root = tmp_path_factory.mktemp("less")
    model = save_tiny_model(root / "model", TEXTS, request.param)
    for side, queries in SIDES.items():
        (root / f"{side}.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in queries))
    return Asked(
        model=str(model),
        queries=(str(root / "queries.jsonl"),),
        contrast=(str(root / "contrast.jsonl"),),
        context=CONTEXT,
        folder=root / "kept",
        device="cpu",
    )


def gradient_by_hand(place: str, token_ids: list[int], start: int) -> torch.Tensor:
    """Of the summed loss of all tokens, in windows that each begin with the start token; float64 [parameters]."""
    model = load_causal_lm(place).double().requires_grad_(True)
    parameters = list(tracked_parameters(model).values())
    loss = torch.zeros((), dtype=torch.float64)
    for first in range(0, len(token_ids), CONTEXT):
        window = token_ids[first : first + CONTEXT]
        logits = model(torch.tensor([[start, *window[:-1]]])).logits[0]
        loss = loss + torch.nn.functional.cross_entropy(logits, torch.tensor(window), reduction="sum")
    return torch.cat([part.flatten() for part in torch.autograd.grad(loss, parameters)])


def test_is_the_cosine_of_gradients(asked: Asked) -> None:
    tokenizer = load_tokenizer(asked.model)
    start = start_token(tokenizer)
    state = Less.prepare(asked)
    assert state["context"] == CONTEXT and sorted(state["queries"][0]) == ["behaviour", "contrast"]
    Less.keep(asked)
    encodings = encode_documents(tokenizer, TEXTS)
    documents = [Document(each.token_ids, each.starts, each.ends) for each in encodings]
    assert max(map(len, documents)) > CONTEXT
    marks = Less(state, {}, asked).marks(documents)
    means = []
    for queries in SIDES.values():
        ids = [each.token_ids.tolist() for each in encode_documents(tokenizer, queries)]
        total = torch.stack([gradient_by_hand(asked.model, own, start) for own in ids]).sum(0)
        means.append(total / sum(map(len, ids)))
    wanted = means[0] - means[1]
    for document, own in zip(documents, marks, strict=True):
        assert own.shape == (len(document),) and own.dtype == np.float32
        if not len(document):
            continue
        gradient = gradient_by_hand(asked.model, document.token_ids.tolist(), start)
        expected = float(torch.nn.functional.cosine_similarity(gradient, wanted, dim=0))
        assert own == pytest.approx([expected] * len(document), abs=1e-4)


def test_a_damaged_gradient_is_refused(asked: Asked) -> None:
    state = Less.prepare(asked)
    Less.keep(asked)
    file = asked.folder / "queries.safetensors"
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(InputError, match="is no gradient of queries, or is damaged"):
        Less(state, {}, asked)


def test_without_contrast_it_is_refused(asked: Asked) -> None:
    with pytest.raises(InputError, match="option --contrast: is required"):
        Less.prepare(Asked(model=asked.model, queries=asked.queries))
