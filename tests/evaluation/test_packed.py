"""Perplexity of joined text against a forward pass a chunk."""

from __future__ import annotations

import math

import pytest
import torch
from tiny_models import tiny_model, tiny_tokenizer

from ifcurate.errors import InputError
from ifcurate.evaluation.fluency import Reader
from ifcurate.evaluation.packed import measure_packed
from ifcurate.model.control_tokens import ControlTokens
from ifcurate.model.ranks import Ranks

DOCUMENTS = ["The river was calm and the garden was bright in the long winter.", "", "A neighbour wrote a letter.", "x"]
ALONE = Ranks(0, 1, "cpu")


@torch.no_grad()
@pytest.mark.parametrize(("context", "prefix"), [(8, ()), (64, ()), (9, (3, 4))])
def test_is_that_of_chunks_of_the_joined_text(context: int, prefix: tuple[int, ...]) -> None:
    tokenizer, model = tiny_tokenizer(DOCUMENTS), tiny_model("gpt_neox").double()
    joined = [token for text in DOCUMENTS if text for token in [0, *tokenizer(text)["input_ids"]]]
    room = context - len(prefix)
    chunks = [chunk for first in range(0, len(joined), room) if len(chunk := joined[first : first + room]) > 1]
    nats = 0.0
    for chunk in chunks:
        logits = model(torch.tensor([[*prefix, *chunk[:-1]]])).logits[0, len(prefix) :]
        nats += torch.nn.functional.cross_entropy(logits, torch.tensor(chunk[1:]), reduction="sum").item()
    labels = sum(len(chunk) - 1 for chunk in chunks)
    control = ControlTokens(prefix, prefix)
    found = measure_packed(Reader(model, 40, ALONE), tokenizer, DOCUMENTS, context, 0, control)
    assert found.perplexity.value == pytest.approx(math.exp(nats / labels), rel=1e-6)
    assert (found.chunks, found.tokens, found.context) == (len(chunks), labels, context)


def test_text_without_a_label_is_refused() -> None:
    reader = Reader(tiny_model("gpt_neox"), 40, ALONE)
    with pytest.raises(InputError, match="no token of the text stands behind another"):
        measure_packed(reader, tiny_tokenizer(DOCUMENTS), ["", ""], 8, 0)
