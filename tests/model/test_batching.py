"""Batches: little padding, sized for the memory at hand, halved when it runs out."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import VOCABULARY, tiny_model

from ifcurate.errors import InputError
from ifcurate.influence import batch_size
from ifcurate.influence.batch_size import automatic_batch_tokens, bytes_per_position
from ifcurate.influence.scorer import Scorer
from ifcurate.model.batching import OneWindowARow, PackedRows, pack
from ifcurate.model.devices import CPU_BATCH_TOKENS
from ifcurate.model.token_loss import TokenScores
from ifcurate.model.windows import Encoding, Window, bucket_by_length


class SmallMemory:
    """An engine on a device where `positions` fit; the influence it gives is the token's id."""

    def __init__(self, positions: int, error: Exception | None = None) -> None:
        self.positions = positions
        self.error = error or torch.OutOfMemoryError("CUDA out of memory.")
        self.sizes: list[int] = []

    def score(self, batch):
        self.sizes.append(batch.size)
        if batch.size > self.positions:
            raise self.error
        ids = batch.labels[batch.mask].float()
        return TokenScores(ids[None], ids)


def encodings(lengths):
    generator = np.random.default_rng(0)
    zeros = [np.zeros(length, np.int32) for length in lengths]
    return [Encoding(generator.integers(1, VOCABULARY, len(zero)).astype(np.int32), zero, zero) for zero in zeros]


def scorer(engine, batch_tokens=64, batching=None):
    batching = batching or OneWindowARow(start=0)
    return Scorer(engine, directions=1, context=16, batching=batching, batch_tokens=batch_tokens)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_batches_are_halved_until_they_fit_and_every_token_is_scored_once(error):
    documents = encodings([40, 3, 16, 16, 9, 1, 0, 16])
    engine = SmallMemory(17, error)
    limited = scorer(engine)
    scored, work = limited.score(documents, [f"d{number}" for number in range(8)])
    for document, scores in zip(documents, scored, strict=True):
        assert scores.influence[0].tolist() == document.token_ids.tolist()
    assert work.halvings == 2
    assert limited.batch_tokens == 16
    fitting = [size for size in engine.sizes if size <= 17]
    assert work.positions == sum(fitting)
    _, later = limited.score(documents, [f"d{number}" for number in range(8)])
    assert later.halvings == 0  # what was learnt is kept


def test_every_batch_is_told_of_with_its_tokens():
    heard = []
    _, work = scorer(SmallMemory(17)).score(encodings([40, 3, 0, 16]), list("abcd"), heard.append)
    assert sorted(heard) == [3, 8, 16, 16, 16]  # the first document has three windows
    assert work.tokens == 59


def test_a_window_that_does_not_fit_alone_is_refused_by_document():
    with pytest.raises(InputError, match=r"document d1: a row of 16 positions .* does not fit .*lower --context"):
        scorer(SmallMemory(15)).score(encodings([3, 40]), ["d0", "d1"])


def test_other_errors_pass():
    with pytest.raises(RuntimeError, match="broken"):
        scorer(SmallMemory(0, RuntimeError("broken"))).score(encodings([3]), ["d0"])


@given(
    lengths=st.lists(st.integers(1, 2048), min_size=1, max_size=300),
    batch_tokens=st.sampled_from([512, 4096, 32_768]),
)
@settings(max_examples=60, deadline=None)
def test_groups_hold_everything_once_within_their_room_and_little_padding(lengths, batch_tokens):
    groups = bucket_by_length(lengths, batch_tokens)
    assert sorted(index for group in groups for index in group) == list(range(len(lengths)))
    for group in groups:
        longest = lengths[group[0]]
        positions = longest * len(group)
        assert longest == max(lengths[index] for index in group)
        assert positions <= batch_tokens or len(group) == 1
        padding = 1 - sum(lengths[index] for index in group) / positions
        assert padding <= 0.04 + 1e-9 or positions <= batch_tokens / 8


@pytest.mark.parametrize("batch_tokens", [4096, 32_768])
def test_padding_of_many_documents_is_below_five_per_cent(batch_tokens):
    lengths = np.random.default_rng(0).lognormal(5.5, 1.0, 4000).astype(int).clip(1, 2048).tolist()
    groups = bucket_by_length(lengths, batch_tokens)
    positions = sum(lengths[group[0]] * len(group) for group in groups)
    assert 1 - sum(lengths) / positions < 0.05


@pytest.mark.parametrize("family", ["gpt_neox", "gpt2"])
def test_batch_size_follows_memory_model_and_engine(family, monkeypatch):
    model = tiny_model(family)
    position = bytes_per_position(model, "finite-difference", 1)
    monkeypatch.setattr(batch_size, "memory_at_hand", lambda device: int(1000 * position / 0.4))
    assert automatic_batch_tokens(model, "finite-difference", 1) == 512  # a power of two
    assert automatic_batch_tokens(model, "finite-difference", 1, workers=4) == 128
    assert automatic_batch_tokens(model, "one-sided", 5) == 512  # one pass after the other
    assert automatic_batch_tokens(model, "jvp", 3) == 128  # tangents travel together
    passes = CPU_BATCH_TOKENS * bytes_per_position(model, "finite-difference", 1, passes=4)
    monkeypatch.setattr(batch_size, "memory_at_hand", lambda device: int(passes / 0.4) - 9)
    assert automatic_batch_tokens(model, "finite-difference", 1) == CPU_BATCH_TOKENS  # one pass fits, four do not
    monkeypatch.setattr(batch_size, "memory_at_hand", lambda device: 1 << 50)
    assert automatic_batch_tokens(model, "jvp", 1) == CPU_BATCH_TOKENS
    assert automatic_batch_tokens(model, "finite-difference", 1) == 4 * CPU_BATCH_TOKENS  # weights move once for all
    monkeypatch.setattr(batch_size, "memory_at_hand", lambda device: 0)
    assert automatic_batch_tokens(model, "jvp", 1) == 1


def test_packed_batches_are_halved_by_rows_until_they_fit():
    documents = encodings([40, 3, 16, 16, 9, 1, 0, 16])
    engine = SmallMemory(33)
    limited = scorer(engine, batch_tokens=64, batching=PackedRows(start=0, length=16))
    scored, work = limited.score(documents, [f"d{number}" for number in range(8)])
    for document, scores in zip(documents, scored, strict=True):
        assert scores.influence[0].tolist() == document.token_ids.tolist()
    assert work.halvings == 1
    assert engine.sizes == [64, 32, 32, 32, 32]  # 101 tokens in 7 rows, and one to fill the last batch
    with pytest.raises(InputError, match=r"document [a-h]: a row of 16 positions that begins with it does not"):
        scorer(SmallMemory(15), batching=PackedRows(start=0, length=16)).score(documents, list("abcdefgh"))


@given(lengths=st.lists(st.integers(1, 64), max_size=200), rows=st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_packed_rows_hold_every_window_once_in_batches_of_one_shape(lengths, rows):
    windows = [Window(number, 0, np.full(length, number + 1, np.int32)) for number, length in enumerate(lengths)]
    packed = PackedRows(start=0, length=64)
    batches = packed.batches(windows, rows * 64)
    held = [window for batch in batches for row in batch for window in row]
    assert sorted(window.document for window in held) == list(range(len(lengths)))
    used = sum(any(row) for batch in batches for row in batch)
    assert used <= 11 / 9 * max(1, 2 * sum(lengths) / 64) + 4
    for batch in batches:
        tensors = packed.collate(batch)
        assert tensors.labels.shape == tensors.positions.shape == (rows, 64)
        inside = [window for row in batch for window in row]
        expected = np.concatenate([window.token_ids for window in inside])
        assert tensors.labels[tensors.mask].tolist() == expected.tolist()
        starts = tensors.mask & (tensors.positions == 0)
        assert int(starts.sum()) == len(inside)
        assert not tensors.input_ids[starts].any()
        follows = tensors.mask & (tensors.positions > 0)
        assert torch.equal(tensors.input_ids[follows], tensors.labels.roll(1, dims=1)[follows])


def test_no_two_rows_of_a_packing_fit_into_one():
    lengths = np.random.default_rng(0).lognormal(5.5, 1.0, 4000).astype(int).clip(1, 2048).tolist()
    rows = [sum(lengths[index] for index in row) for row in pack(lengths, 2048)]
    assert max(rows) <= 2048
    assert sum(sorted(rows)[:2]) > 2048
    assert 1 - sum(rows) / (2048 * len(rows)) < 0.005
    with pytest.raises(ValueError, match="9 positions"):
        pack([3, 9], 8)
