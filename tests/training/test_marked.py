from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from training_cases import VOCABULARY, tiny_model

from ifcurate.annotation.reader import MarkedDocument
from ifcurate.model.control_tokens import ControlTokens
from ifcurate.training.callbacks import sample
from ifcurate.training.marked import TREATMENTS, embed_tokens, hide, say_control_tokens, tag
from ifcurate.training.packing import (
    INPUT_IDS,
    LABELS,
    Delimiters,
    PackedTokens,
    PaddingCollator,
    token_dtype,
    write_stream,
)
from ifcurate.training.penalty import IGNORED
from ifcurate.training.token_columns import LOSS_WEIGHTS

START, END, CONTROL = 1, 2, (90, 91)
marks_of_documents = st.lists(st.lists(st.integers(0, 3), max_size=9), min_size=1, max_size=6)


def hidden_slowly(tokens: Sequence[int], marks: Sequence[int]) -> list[int]:
    found: list[int] = []
    for index, token in enumerate(tokens):
        if not marks[index]:
            found.append(token)
        elif index == 0 or not marks[index - 1]:
            found.append(CONTROL[0])
    return found


def tagged_slowly(tokens: Sequence[int], marks: Sequence[int]) -> list[int]:
    found: list[int] = []
    for index, token in enumerate(tokens):
        if index == 1 or (index > 1 and bool(marks[index]) != bool(marks[index - 1])):
            found.append(CONTROL[bool(marks[index])])
        found.append(token)
    return found


@pytest.mark.parametrize(("edit", "slowly"), [(hide, hidden_slowly), (tag, tagged_slowly)])
@pytest.mark.parametrize("end", [None, END])
@given(marks=marks_of_documents, length=st.integers(2, 7))
def test_control_tokens_are_read_and_are_no_labels(
    tmp_path_factory: pytest.TempPathFactory,
    edit: object,
    slowly: object,
    end: int | None,
    marks: list[list[int]],
    length: int,
) -> None:
    folder = tmp_path_factory.mktemp("stream")
    documents, expected, first = [], [], 10
    for own in marks:
        ids = np.arange(first, first + len(own), dtype=np.int32) % 80 + 10
        documents.append(MarkedDocument(ids, np.array(own, np.uint8)))
        behind = [] if end is None else [end]
        expected += slowly([START, *ids.tolist(), *behind], [0, *own, *([0] * len(behind))])
        first += len(own)
    delimiters = Delimiters(START, end)
    write_stream(documents, delimiters, token_dtype(100), folder, edit=lambda *given: edit(CONTROL, *given))
    packed = PackedTokens(folder, token_dtype(100), [1.0], length, unlabelled=CONTROL)
    read, labels = [], []
    for index in range(len(packed)):
        batch = PaddingCollator(0)([packed[index]])
        read += batch[INPUT_IDS][0].tolist()[index > 0 :]
        labels += [label for label in batch[LABELS][0].tolist() if label != IGNORED]
        assert batch[LOSS_WEIGHTS].eq(1).all()
    assert read == expected or (len(expected) == 1 and not read)
    assert labels == [token for token in expected[1:] if token not in CONTROL]
    assert packed.labels == len(labels)


def test_new_rows_are_the_mean_of_the_old_ones_and_change_nothing_else() -> None:
    model, before = tiny_model(torch.float32), tiny_model(torch.float32)
    embed_tokens([VOCABULARY, VOCABULARY + 1], model)
    old = before.get_input_embeddings().weight
    for layer in (model.get_input_embeddings(), model.get_output_embeddings()):
        assert torch.equal(layer.weight[:VOCABULARY], old)
        torch.testing.assert_close(layer.weight[VOCABULARY:], old.mean(0).expand(2, -1))
    assert model.config.vocab_size == VOCABULARY + 2
    tokens = torch.arange(10)[None]
    torch.testing.assert_close(model(tokens).logits[..., :VOCABULARY], before(tokens).logits)


def test_rows_that_were_kept_free_are_used() -> None:
    model = tiny_model(torch.float32)
    embed_tokens([VOCABULARY - 2], model)
    assert model.get_input_embeddings().num_embeddings == VOCABULARY


def test_checkpoints_name_their_control_tokens_and_generate_draws_none(tmp_path: Path) -> None:
    model = tiny_model(torch.float32)
    for name, prefix in (("remove", ()), ("tag", (5,))):
        say_control_tokens(TREATMENTS[name], (5, 6)[: len(TREATMENTS[name].names)], model)
        model.save_pretrained(tmp_path / name)
        again = type(model).from_pretrained(tmp_path / name)
        found = ControlTokens.said_by(again.generation_config)
        assert found == ControlTokens(prefix, (5,) if name == "remove" else (5, 6))
    with torch.no_grad():
        model.get_output_embeddings().weight[[5, 6]] *= 0
        texts = sample(model, 0)
    drawn = {token for text in texts for token in text}
    assert drawn and not drawn & {5, 6}
    prompt = torch.tensor([[0, 5]])
    plain = model.generate(prompt, max_new_tokens=200, do_sample=True, pad_token_id=0)
    assert not set(plain[0, 2:].tolist()) & {5, 6}
