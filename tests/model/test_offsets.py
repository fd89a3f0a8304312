"""Law: all tokens of a text with tokens name every character that is not white space, by any tokenizer."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from ifcurate.model.offsets import without_holes
from ifcurate.model.windows import encode_documents
from ifcurate.selection.spans import Ranges, mask_to_spans, spans_to_mask

LINES = ["the café on the ﬁeld, naïve Ünïcode", "日本語 テスト 한국어", "été  tabs\tand\nlines"]
AWKWARD = ["e\u0301", "\u0301", "q\u0323\u0307", "한", "ﬁ", "½", "İ", "\x00", "\u200d", "\u00ad", "🙂", " ", "\n"]
texts = st.lists(st.one_of(st.sampled_from([*AWKWARD, "the"]), st.text(max_size=4)), max_size=10).map("".join)
NORMALIZERS = {
    "nothing": normalizers.Sequence([]),
    "NFC": normalizers.NFC(),
    "NFKC": normalizers.NFKC(),
    "NFD": normalizers.NFD(),
    "accents stripped": normalizers.Sequence([normalizers.NFD(), normalizers.Lowercase(), normalizers.StripAccents()]),
    "Bert": normalizers.BertNormalizer(),
    "replaced": normalizers.Sequence([normalizers.Replace("th", "z"), normalizers.Replace("\x00", "")]),
    "prepended": normalizers.Sequence([normalizers.Prepend("▁"), normalizers.NFC(), normalizers.Replace(" ", "▁")]),
}


def byte_level() -> tuple[Tokenizer, trainers.Trainer]:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    return tokenizer, trainers.BpeTrainer(vocab_size=290, initial_alphabet=alphabet, show_progress=False)


def unigram() -> tuple[Tokenizer, trainers.Trainer]:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    special = {"unk_token": "<unk>", "special_tokens": ["<unk>"]}
    return tokenizer, trainers.UnigramTrainer(vocab_size=80, show_progress=False, **special)


def word_piece() -> tuple[Tokenizer, trainers.Trainer]:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer, trainers.WordPieceTrainer(vocab_size=120, special_tokens=["[UNK]"], show_progress=False)


def trained(kind: str, normalizer: str) -> PreTrainedTokenizerFast:
    tokenizer, trainer = {"byte-level": byte_level, "unigram": unigram, "word piece": word_piece}[kind]()
    tokenizer.normalizer = NORMALIZERS[normalizer]
    tokenizer.train_from_iterator(LINES, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


KINDS = ("byte-level", "unigram", "word piece")
TOKENIZERS = {f"{kind}, {name}": trained(kind, name) for kind in KINDS for name in NORMALIZERS}


def ranges(tokenizer: PreTrainedTokenizerFast, text: str) -> Ranges:
    (encoding,) = encode_documents(tokenizer, [text])
    return Ranges.of_document(encoding.starts, encoding.ends)


def covered(tokens: Ranges) -> set[int]:
    spans = mask_to_spans(np.ones(len(tokens), bool), tokens)
    return {place for start, end in zip(spans.starts, spans.ends, strict=True) for place in range(start, end)}


@pytest.mark.parametrize("name", TOKENIZERS)
@settings(max_examples=40, deadline=None)
@given(text=texts, decomposed=st.booleans())
def test_all_tokens_name_all_characters(name: str, text: str, decomposed: bool) -> None:
    text = unicodedata.normalize("NFD", text) if decomposed else text
    tokens = ranges(TOKENIZERS[name], text)
    wanted = {place for place, character in enumerate(text) if not character.isspace()} if len(tokens) else set()
    assert wanted <= covered(tokens) <= set(range(len(text)))


@settings(max_examples=40, deadline=None)
@given(text=texts, one=st.sampled_from(sorted(TOKENIZERS)), decomposed=st.booleans())
def test_no_token_of_another_tokenizer_is_lost(text: str, one: str, decomposed: bool) -> None:
    text = unicodedata.normalize("NFD", text) if decomposed else text
    tokens = ranges(TOKENIZERS[one], text)
    if not len(tokens):
        return
    spans = mask_to_spans(np.ones(len(tokens), bool), tokens)
    for other in TOKENIZERS.values():
        theirs = ranges(other, text)
        marked = spans_to_mask(spans, theirs)
        spells = [bool(text[start:end].strip()) for start, end in zip(theirs.starts, theirs.ends, strict=True)]
        assert marked[np.array(spells, bool)].all(), "only tokens of nothing but white space may stay unmarked"


def test_decomposed_text_under_nfc_by_hand() -> None:
    text = unicodedata.normalize("NFD", "été à la")
    assert len(text) == 11
    for name in ("byte-level, NFC", "unigram, NFKC", "word piece, accents stripped"):
        assert {text[place] for place in set(range(len(text))) - covered(ranges(TOKENIZERS[name], text))} <= {" "}


@pytest.mark.parametrize(
    ("text", "given_ranges", "expected"),
    [
        ("abc", [(0, 1), (2, 3)], [(0, 2), (2, 3)]),
        ("ab \u0301 c", [(0, 2), (5, 6)], [(0, 4), (5, 6)]),
        (" \u0301a", [(2, 3)], [(1, 3)]),
        ("a\u0301\u0301 ", [(0, 1), (0, 1), (4, 4)], [(0, 1), (0, 3), (4, 4)]),
        ("a b c", [(4, 5), (0, 1)], [(4, 5), (0, 3)]),
        (" x ", [(0, 0), (0, 0)], [(1, 2), (0, 0)]),
        ("  ", [(0, 0)], [(0, 0)]),
        ("x", [], []),
        ("a  b", [(0, 1), (3, 4)], [(0, 1), (3, 4)]),
    ],
)
def test_holes_by_hand(text: str, given_ranges: list[tuple[int, int]], expected: list[tuple[int, int]]) -> None:
    pairs = np.array(given_ranges, np.int32).reshape(-1, 2)
    starts, ends = without_holes(text, pairs[:, 0], pairs[:, 1])
    assert list(zip(starts.tolist(), ends.tolist(), strict=True)) == expected


@given(st.text(max_size=14), st.lists(st.tuples(st.integers(0, 14), st.integers(0, 4)), max_size=8))
def test_ranges_apart_stay_apart(text: str, drawn: list[tuple[int, int]]) -> None:
    pairs = np.array([(min(a, len(text)), min(a + n, len(text))) for a, n in drawn], np.int32).reshape(-1, 2)
    starts, ends = without_holes(text, pairs[:, 0], pairs[:, 1])
    assert (starts <= pairs[:, 0]).all() or (pairs[:, 0] == pairs[:, 1]).all()
    counts = np.zeros((2, len(text)), int)
    for row, these in enumerate((pairs.tolist(), list(zip(starts.tolist(), ends.tolist(), strict=True)))):
        for start, end in these:
            counts[row, start:end] += 1
    assert (counts[1] == np.where(counts[0] == 0, np.minimum(counts[1], 1), counts[0])).all()
    solid = np.array([not character.isspace() for character in text], bool)
    assert not drawn or counts[1][solid].all()
