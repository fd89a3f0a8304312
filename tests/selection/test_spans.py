from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from ifcurate.selection.spans import Ranges, character_groups, has_characters, mask_to_spans, spans_to_mask

LINES = ["the cat sat on the mat 🙂🙂", "naïve café, e\u0301te\u0301", "日本語 テスト 👩‍👩‍👧", "tabs\tand\r\nlines  "]
AWKWARD = st.sampled_from(
    ["🙂", "👩‍👩‍👧", "e\u0301", "\u0301", "\r", "\x00", "\u200d", "  ", " ", "\n", "ﬁ", "İ", "한", "𝔘", "the", "▁"]
)
texts = st.lists(st.one_of(AWKWARD, st.text(max_size=6)), max_size=12).map("".join)


def byte_level_bpe(trim_offsets: bool, prefix_space: bool) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix_space)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=trim_offsets)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        LINES, trainers.BpeTrainer(vocab_size=290, initial_alphabet=alphabet, show_progress=False)
    )
    return tokenizer


def byte_fallback_bpe() -> Tokenizer:
    pieces = ["<unk>", "▁", *(f"<0x{byte:02X}>" for byte in range(256)), *"thecasonm", "th", "the", "▁the"]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    merges = [("t", "h"), ("th", "e"), ("▁", "the")]
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.ByteFallback()
    return tokenizer


def word_piece() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=120, special_tokens=["[UNK]"], show_progress=False)
    tokenizer.train_from_iterator(LINES, trainer)
    return tokenizer


def unigram() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    trainer = trainers.UnigramTrainer(vocab_size=80, unk_token="<unk>", special_tokens=["<unk>"], show_progress=False)
    tokenizer.train_from_iterator(LINES, trainer)
    return tokenizer


TOKENIZERS = {
    "byte-level": byte_level_bpe(trim_offsets=False, prefix_space=False),
    "byte-level, trimmed": byte_level_bpe(trim_offsets=True, prefix_space=False),
    "byte-level, trimmed, prefix": byte_level_bpe(trim_offsets=True, prefix_space=True),
    "byte fallback": byte_fallback_bpe(),
    "word piece": word_piece(),
    "unigram": unigram(),
}


def ranges(*documents: Sequence[tuple[int, int]]) -> Ranges:
    flat = np.array([pair for document in documents for pair in document], np.int64).reshape(-1, 2)
    rows = np.cumsum([0, *(len(document) for document in documents)])
    return Ranges(flat[:, 0], flat[:, 1], rows)


def lists(spans: Ranges) -> list[list[tuple[int, int]]]:
    pairs = list(zip(spans.starts.tolist(), spans.ends.tolist(), strict=True))
    return [pairs[begin:end] for begin, end in zip(spans.rows[:-1], spans.rows[1:], strict=True)]


def tokenize(tokenizer: Tokenizer, documents: Sequence[str]) -> Ranges:
    return ranges(*(tokenizer.encode(text, add_special_tokens=False).offsets for text in documents))


def closed_mask(tokens: Ranges, seed: int) -> np.ndarray:
    """A random mask as selection writes them: whole groups that have characters."""
    groups = character_groups(tokens)
    chosen = np.random.default_rng(seed).random(groups.max(initial=0) + 1) < 0.4
    return chosen[groups] & has_characters(tokens, groups)


any_offsets = st.lists(
    st.tuples(st.integers(0, 12), st.integers(0, 3)).map(lambda pair: (pair[0], sum(pair))), max_size=10
)


@pytest.mark.parametrize("name", TOKENIZERS)
@settings(max_examples=60, deadline=None)
@given(documents=st.lists(texts, min_size=1, max_size=4), seed=st.integers(0, 2**32 - 1))
def test_masks_come_back_from_spans(name: str, documents: list[str], seed: int) -> None:
    tokens = tokenize(TOKENIZERS[name], documents)
    mask = closed_mask(tokens, seed)
    spans = mask_to_spans(mask, tokens)
    assert np.array_equal(spans_to_mask(spans, tokens), mask)
    for text, found in zip(documents, lists(spans), strict=True):
        positions = [position for span in found for position in span]
        assert all(0 <= position <= len(text) for position in positions)
        assert positions == sorted(set(positions)), "spans are sorted, not empty, and neither overlap nor touch"


@given(st.lists(any_offsets, min_size=1, max_size=4), st.integers(0, 2**32 - 1))
def test_masks_come_back_for_any_offsets(documents: list[list[tuple[int, int]]], seed: int) -> None:
    tokens = ranges(*documents)
    mask = closed_mask(tokens, seed)
    assert np.array_equal(spans_to_mask(mask_to_spans(mask, tokens), tokens), mask)


@given(st.lists(any_offsets, min_size=1, max_size=4), st.integers(0, 2**32 - 1))
def test_a_batch_is_its_documents(documents: list[list[tuple[int, int]]], seed: int) -> None:
    tokens, rng = ranges(*documents), np.random.default_rng(seed)
    mask = rng.random(len(tokens)) < 0.5
    spans = mask_to_spans(mask, tokens)
    projected = spans_to_mask(spans, tokens)
    groups = character_groups(tokens)
    for document, begin, end, found in zip(documents, tokens.rows[:-1], tokens.rows[1:], lists(spans), strict=True):
        alone = ranges(document)
        assert lists(mask_to_spans(mask[begin:end], alone)) == [found]
        assert np.array_equal(spans_to_mask(ranges(found), alone), projected[begin:end])
        assert np.array_equal(character_groups(alone), groups[begin:end] - (groups[begin] if end > begin else 0))


@given(st.lists(any_offsets, min_size=1, max_size=4), st.integers(0, 2**32 - 1))
def test_projection_marks_exactly_the_tokens_that_share_a_character(
    documents: list[list[tuple[int, int]]], seed: int
) -> None:
    tokens, rng = ranges(*documents), np.random.default_rng(seed)
    spans = [[(int(s), int(s + n)) for s, n in rng.integers(0, [14, 4], (3, 2))] for _ in documents]
    found = spans_to_mask(ranges(*spans), tokens)
    for document, its_spans, begin in zip(documents, spans, tokens.rows[:-1], strict=True):
        covered = {position for start, end in its_spans for position in range(start, end)}
        for index, (start, end) in enumerate(document):
            if end > start:
                assert found[begin + index] == bool(covered & set(range(start, end)))


def test_groups_by_hand() -> None:
    emoji_in_three_bytes = [(0, 1), (1, 2), (1, 2), (1, 2), (2, 5)]
    half_a_character = [(0, 2), (1, 3), (3, 4)]
    prefix_space, trailing = [(0, 0), (0, 3), (4, 4), (4, 6), (7, 7)], [(0, 1), (1, 1), (0, 0)]
    assert character_groups(ranges(emoji_in_three_bytes)).tolist() == [0, 1, 1, 1, 2]
    assert character_groups(ranges(half_a_character)).tolist() == [0, 0, 1]
    assert character_groups(ranges(prefix_space)).tolist() == [0, 0, 1, 1, 1]
    assert character_groups(ranges(trailing)).tolist() == [0, 0, 0]
    batch = ranges([], trailing, [(0, 0)], [], prefix_space)
    assert character_groups(batch).tolist() == [0, 0, 0, 1, 2, 2, 3, 3, 3]
    assert has_characters(batch, character_groups(batch)).tolist() == [True] * 3 + [False] + [True] * 5


def test_groups_of_tokens_out_of_order_share_no_character() -> None:
    assert character_groups(ranges([(0, 1), (4, 5), (2, 3), (5, 6)])).tolist() == [0, 1, 1, 2]


def test_spans_by_hand() -> None:
    tokens = ranges([(0, 3), (3, 4), (5, 8), (8, 8)], [], [(0, 2), (2, 4)])
    mask = np.array([True, True, True, True, False, True])
    assert lists(mask_to_spans(mask, tokens)) == [[(0, 4), (5, 8)], [], [(2, 4)]]
    other = ranges([(0, 5), (5, 6), (8, 9)], [(0, 1)], [(0, 1), (1, 3)])
    assert spans_to_mask(mask_to_spans(mask, tokens), other).tolist() == [True, True, False, False, False, True]


def test_spans_of_anybody_in_any_order() -> None:
    tokens = Ranges.of_document([0, 1, 2, 3, 4], [1, 2, 3, 4, 5])
    marked = spans_to_mask(ranges([(4, 9), (0, 2), (1, 2), (3, 3)]), tokens)
    assert marked.tolist() == [True, True, False, False, True]


def test_a_mask_moves_to_another_tokenizer() -> None:
    text = "the 🦊 cat"
    characters = Ranges.of_document(range(len(text)), range(1, len(text) + 1))
    fox = mask_to_spans(np.array([character == "🦊" for character in text]), characters)
    assert lists(fox) == [[(4, 5)]]
    tokens = tokenize(TOKENIZERS["byte-level"], [text])
    marked = spans_to_mask(fox, tokens)
    assert marked.sum() > 1, "several tokens spell the fox"
    assert marked.tolist() == [start < 5 and end > 4 for start, end in lists(tokens)[0]]


def test_nothing_in_nothing_out() -> None:
    nothing = ranges([], [])
    assert lists(mask_to_spans(np.zeros(0, bool), nothing)) == [[], []]
    assert spans_to_mask(nothing, nothing).tolist() == []
    assert spans_to_mask(ranges([]), ranges([(0, 1)])).tolist() == [False]
    assert lists(mask_to_spans(np.zeros(0, bool), ranges())) == []
    with pytest.raises(ValueError, match="2 documents cannot mark tokens of 1"):
        spans_to_mask(nothing, ranges([]))


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3)), max_size=6).map(
            lambda pairs: [(start, start + size) for start, size in pairs]
        ),
        max_size=5,
    ),
    st.booleans(),
)
def test_groups_are_the_components_of_shared_characters(documents: list[list[tuple[int, int]]], ordered: bool) -> None:
    """Two neighbouring tokens are apart where no character lies in, or between characters of, what is on both sides."""
    if ordered:  # most tokenizers', which are looked at in a quicker way
        documents = [sorted((start, max(end, start + 1)) for start, end in document) for document in documents]
    found = character_groups(ranges(*documents)).tolist()
    expected: list[int] = []
    for document in documents:
        spelled = [place for place, (start, end) in enumerate(document) if end > start]
        cuts = {
            before + 1
            for before, after in pairwise(spelled)
            if min(document[place][0] for place in spelled if place >= after)
            >= max(document[place][1] for place in spelled if place <= before)
        }
        for place in range(len(document)):
            new = place == 0 or place in cuts
            expected.append((expected[-1] + 1 if expected else 0) if new else expected[-1])
    assert found == expected
