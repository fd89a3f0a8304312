from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ifcurate.annotation.reader import MarkedDocument
from ifcurate.training.packing import (
    INPUT_IDS,
    LABELS,
    Delimiters,
    PackedTokens,
    PackingCollator,
    PaddingCollator,
    token_dtype,
    weight_table,
    write_stream,
)
from ifcurate.training.penalty import IGNORED
from ifcurate.training.token_columns import LOSS_WEIGHTS

START, END, PAD = 1, 2, 0

lists_of_marks = st.lists(st.lists(st.integers(0, 3), max_size=9), min_size=1, max_size=8)


def documents_of(marks: list[list[int]]) -> list[MarkedDocument]:
    """Documents whose tokens are numbered through from 10, so that each token is recognisable."""
    documents, first = [], 10
    for own in marks:
        documents.append(
            MarkedDocument(np.arange(first, first + len(own), dtype=np.int32), np.array(own, dtype=np.uint8))
        )
        first += len(own)
    return documents


@given(marks=lists_of_marks, length=st.integers(2, 8), end=st.sampled_from([None, END]))
@settings(max_examples=60, deadline=None)
def test_every_token_is_a_label_once_with_its_own_weight(
    tmp_path_factory: pytest.TempPathFactory, marks: list[list[int]], length: int, end: int | None
) -> None:
    folder = tmp_path_factory.mktemp("stream")
    documents = documents_of(marks)
    delimiters = Delimiters(START, end)
    write_stream(documents, delimiters, token_dtype(1000), folder)
    packed = PackedTokens(folder, token_dtype(1000), [1.0, 0.5], length)
    table = {0: 1.0, 1: -1.0, 2: -0.5, 3: -1.0}
    stream = []
    for document in documents:
        stream.append((START, 1.0))
        stream += [(int(t), table[int(m)]) for t, m in zip(document.token_ids, document.marks, strict=True)]
        stream += [] if end is None else [(END, 1.0)]
    labels = []
    for row in range(len(packed)):
        batch = PaddingCollator(PAD)([packed[row]])
        assert batch[LABELS].ne(IGNORED).any(), "no row without a label"
        assert batch[INPUT_IDS].shape[1] <= length
        for label, weight in zip(batch[LABELS][0].tolist(), batch[LOSS_WEIGHTS][0].tolist(), strict=True):
            if label != IGNORED:
                labels.append((label, weight))
    assert labels == stream[1:]
    assert packed.labels == len(labels)


def test_padding_is_no_label() -> None:
    rows = [{INPUT_IDS: [5, 6, 7], LOSS_WEIGHTS: [1.0, -1.0, 1.0]}, {INPUT_IDS: [8]}]
    batch = PaddingCollator(PAD)(rows)
    assert batch[INPUT_IDS].tolist() == [[5, 6, 7], [8, PAD, PAD]]
    assert batch[LABELS].tolist() == [[IGNORED, 6, 7], [IGNORED] * 3]
    assert batch[LOSS_WEIGHTS].tolist() == [[1.0, -1.0, 1.0], [1.0, 1.0, 1.0]]


@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=6), length=st.integers(2, 8))
def test_packing_documents_carries_weights_across_their_borders(lengths: list[int], length: int) -> None:
    ends = np.cumsum(lengths)
    tokens = np.arange(10, 10 + ends[-1])
    weights = np.where(tokens % 3 == 0, -1.0, 1.0).astype(np.float32)
    documents = [
        {INPUT_IDS: tokens[end - size : end].tolist(), LOSS_WEIGHTS: weights[end - size : end].tolist()}
        for end, size in zip(ends, lengths, strict=True)
    ]
    batch = PackingCollator(length, PAD)(documents)
    is_label = batch[LABELS].ne(IGNORED)
    assert batch[LABELS][is_label].tolist() == tokens[1:].tolist()
    assert batch[LOSS_WEIGHTS][is_label].tolist() == weights[1:].tolist()
    assert batch[INPUT_IDS].shape[1] <= length


def test_labels_of_the_data_set_are_kept() -> None:
    batch = PackingCollator(4, PAD)(
        [{INPUT_IDS: [5, 6], LABELS: [IGNORED, 6]}, {INPUT_IDS: [7, 8], LABELS: [7, IGNORED]}]
    )
    assert batch[LABELS].tolist() == [[IGNORED, 6, 7, IGNORED]]


def test_a_token_with_several_marks_gets_the_largest_penalty() -> None:
    assert weight_table([0.5, 2.0, 0.0])[:8].tolist() == [1.0, -0.5, -2.0, -2.0, 0.0, -0.5, -2.0, -2.0]


def test_token_ids_are_stored_in_the_smallest_type() -> None:
    assert token_dtype(65_536) == np.uint16
    assert token_dtype(65_537) == np.uint32
