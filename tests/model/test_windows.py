import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import tiny_tokenizer

from ifcurate.model.batching import PackedRows
from ifcurate.model.windows import (
    CONTEXT_LABEL,
    PADDING_LABEL,
    Encoding,
    Window,
    WindowBatch,
    bucket_by_length,
    collate,
    encode_documents,
    split_into_windows,
)

lengths_of_documents = st.lists(st.integers(0, 40), max_size=12)


def encoding_of(length: int) -> Encoding:
    numbers = np.arange(1, length + 1, dtype=np.int32)
    return Encoding(numbers, numbers - 1, numbers)


@given(lengths_of_documents, st.integers(1, 9))
def test_every_token_of_every_document_is_in_exactly_one_window(lengths, context):
    windows = split_into_windows([encoding_of(length) for length in lengths], context)
    seen = [(window.document, window.first + place) for window in windows for place in range(len(window))]
    assert seen == [(document, place) for document, length in enumerate(lengths) for place in range(length)]
    assert all(1 <= len(window) <= context for window in windows)


@given(lengths_of_documents, st.integers(1, 9), st.data())
def test_later_windows_read_the_tokens_before_them_again_and_every_token_has_one_loss(lengths, context, data):
    overlap = data.draw(st.integers(0, context - 1))
    windows = split_into_windows([encoding_of(length) for length in lengths], context, overlap)
    assert [(window.document, place) for window in windows for place in window.places.tolist()] == [
        (document, place) for document, length in enumerate(lengths) for place in range(length)
    ]
    for window in windows:
        read = list(range(window.first, window.first + len(window)))
        assert (window.token_ids - 1).tolist() == read
        assert window.losses > 0
        again = window.context_places.tolist()
        assert again == read[: overlap if window.first else 0]
        assert sorted([*again, *window.places.tolist()]) == read
    reread = sum(len(window) - window.losses for window in windows)
    assert reread == overlap * sum(-(-max(length - context, 0) // (context - overlap)) for length in lengths)


def test_tokens_that_are_read_again_have_no_label_and_are_no_padding():
    windows = split_into_windows([encoding_of(5), encoding_of(1)], context=3, overlap=1)
    batch = collate(windows, start=99)
    assert batch.input_ids.tolist() == [[99, 1, 2], [99, 3, 4], [99, 99, 99]]
    assert batch.labels.tolist() == [[1, 2, 3], [CONTEXT_LABEL, 4, 5], [1, PADDING_LABEL, PADDING_LABEL]]
    assert batch.mask.tolist() == [[True, True, True], [False, True, True], [True, False, False]]
    assert batch.read.tolist() == [[True, True, True], [True, True, True], [True, False, False]]
    rows = PackedRows(99, 6).collate([[windows[1], windows[2]]])
    assert rows.labels.tolist() == [[CONTEXT_LABEL, 4, 5, 1, PADDING_LABEL, PADDING_LABEL]]


@given(st.lists(st.integers(1, 50), max_size=40), st.integers(1, 200))
def test_buckets_hold_every_window_once_and_stay_within_the_budget(lengths, batch_tokens):
    groups = bucket_by_length(lengths, batch_tokens)
    assert sorted(index for group in groups for index in group) == list(range(len(lengths)))
    for group in groups:
        longest = max(lengths[index] for index in group)
        assert len(group) == 1 or len(group) * longest <= batch_tokens


def test_the_model_reads_the_start_token_and_predicts_every_token():
    windows = split_into_windows([encoding_of(3), encoding_of(1)], context=8)
    batch = collate(windows, start=99)
    assert batch.input_ids.tolist() == [[99, 1, 2], [99, 99, 99]]
    assert batch.labels.tolist() == [[1, 2, 3], [1, PADDING_LABEL, PADDING_LABEL]]
    assert batch.mask.sum() == 4
    assert batch.size == 6


@given(st.text(max_size=60))
def test_offsets_are_python_characters(text):
    tokenizer = tiny_tokenizer(["some words, some more words 🙂"])
    (encoding,) = encode_documents(tokenizer, [text])
    covered = set()
    for start, end in zip(encoding.starts, encoding.ends, strict=True):
        assert 0 <= start <= end <= len(text)
        covered.update(range(start, end))
    assert covered == set(range(len(text)))


def test_long_documents_are_not_truncated_and_get_no_special_token():
    tokenizer = tiny_tokenizer(["word " * 50])
    tokenizer.backend_tokenizer.enable_truncation(8)
    (encoding,) = encode_documents(tokenizer, ["word " * 5000])
    assert len(encoding) >= 5000
    assert tokenizer.bos_token_id not in encoding.token_ids


@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=12), positions=st.integers(1, 40), packed=st.booleans())
def test_a_batch_splits_into_its_rows(lengths, positions, packed):
    batch = collate([Window(0, 0, np.arange(1, 1 + length, dtype=np.int32)) for length in lengths], start=0)
    if packed:
        batch = WindowBatch(batch.input_ids, batch.labels, batch.labels + 1)
    parts = batch.split(positions)
    assert all(part.size <= max(positions, max(lengths)) for part in parts)
    assert torch.equal(torch.cat([part.input_ids for part in parts]), batch.input_ids)
    assert torch.equal(torch.cat([part.labels for part in parts]), batch.labels)
    if packed:
        assert torch.equal(torch.cat([part.positions for part in parts]), batch.positions)
    else:
        assert all(part.positions is None for part in parts)
