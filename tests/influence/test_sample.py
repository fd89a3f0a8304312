from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from annotated_corpora import WORDS, word_tokenizer
from runs import write_shards
from transformers import PreTrainedTokenizerFast

from ifcurate.corpus import parquet
from ifcurate.corpus.shards import list_shards
from ifcurate.errors import InputError
from ifcurate.influence import sample
from ifcurate.influence.sample import Sample, sample_windows

CONTEXT = 4


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerFast:
    return word_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="module")
def texts() -> list[list[str]]:
    """Three shards of documents of 0 to 60 words."""
    generator = np.random.default_rng(0)
    return [[" ".join(generator.choice(WORDS, length)) for length in generator.integers(0, 60, 20)] for _ in range(3)]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory, texts: list[list[str]]) -> Path:
    return write_shards(tmp_path_factory.mktemp("corpus"), texts)


def draw(
    corpus: Path, tokenizer: PreTrainedTokenizerFast, tokens: int, seed: int = 0, embeddings: int | None = None
) -> Sample:
    return sample_windows(list_shards(str(corpus)), "text", "id", tokenizer, CONTEXT, tokens, seed, embeddings)


def by_sorting(
    texts: list[list[str]], tokenizer: PreTrainedTokenizerFast, tokens: int, seed: int
) -> list[tuple[int, int, list[int]]]:
    """Number, place and tokens of the windows of all documents, in order of their random keys, until `tokens` are."""
    keyed = []
    for shard, documents in enumerate(texts):
        keys = np.random.default_rng([seed, shard]).random(len(documents)).tolist()
        keyed += [(key, text) for key, text in zip(keys, documents, strict=True) if text]
    windows, total = [], 0
    for number, (_, text) in enumerate(sorted(keyed)):
        if total >= tokens:
            break
        token_ids = tokenizer(text, add_special_tokens=False)["input_ids"][: 8 * CONTEXT]
        total += len(token_ids)
        windows += [(number, first, token_ids[first : first + CONTEXT]) for first in range(0, len(token_ids), CONTEXT)]
    return windows


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("tokens", [1, 40, 300, 10**9])
def test_equals_the_documents_sorted_by_random_keys(
    corpus: Path, texts: list[list[str]], tokenizer: PreTrainedTokenizerFast, tokens: int, seed: int
) -> None:
    drawn = draw(corpus, tokenizer, tokens, seed)
    expected = by_sorting(texts, tokenizer, tokens, seed)
    found = [(window.document, window.first, list(window.token_ids)) for window in drawn.windows]
    assert found == expected
    assert drawn.tokens == sum(len(token_ids) for *_, token_ids in expected) >= min(tokens, 1200)
    assert drawn.documents == len({number for number, *_ in expected})
    flat = b"".join(
        len(token_ids).to_bytes(8, "little") + np.array(token_ids, np.int64).tobytes() for *_, token_ids in expected
    )
    assert drawn.hash() == sha256(flat).hexdigest()


def test_another_seed_draws_other_documents(corpus: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    assert draw(corpus, tokenizer, 100).hash() == draw(corpus, tokenizer, 100).hash()
    assert draw(corpus, tokenizer, 100).hash() != draw(corpus, tokenizer, 100, seed=1).hash()


def test_every_document_has_the_same_chance(
    corpus: Path, texts: list[list[str]], tokenizer: PreTrainedTokenizerFast
) -> None:
    words = [len(text.split()) for documents in texts for text in documents if text]
    # 0.17 is five standard deviations of a share of 200 draws.
    drawn = [draw(corpus, tokenizer, 1, seed) for seed in range(200)]
    long = sum(one.tokens > 16 for one in drawn) / len(drawn)
    assert long == pytest.approx(sum(length > 16 for length in words) / len(words), abs=0.17)
    assert all(one.documents == 1 for one in drawn)


def test_what_is_read_is_bounded(
    corpus: Path, tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So many random shards, and so many batches of each."""
    whole = draw(corpus, tokenizer, 10**9).documents
    monkeypatch.setattr(sample, "MOST_SHARDS", 1)
    of_one_shard = draw(corpus, tokenizer, 10**9).documents
    assert 0 < of_one_shard <= 20 < whole
    monkeypatch.setattr(parquet, "BATCH_BYTES", 1)
    monkeypatch.setattr(sample, "MOST_BATCHES", 2)
    assert draw(corpus, tokenizer, 10**9).documents <= 2


def test_no_more_texts_are_held_than_the_characters_need() -> None:
    candidates = [(0.3, "c", "x" * 5), (0.1, "a", "y" * 4), (0.2, "b", "z" * 6), (0.4, "d", "w")]
    for characters, names in [(4, "a"), (5, "ab"), (10, "ab"), (11, "abc"), (15, "abc"), (16, "abcd"), (99, "abcd")]:
        assert "".join(name for name, _ in sample._draw_texts(iter(candidates), characters)) == names


def test_a_token_without_an_embedding_names_its_document(corpus: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    assert draw(corpus, tokenizer, 50, embeddings=len(tokenizer)).tokens >= 50
    with pytest.raises(InputError, match=r"document d\d+"):
        draw(corpus, tokenizer, 50, embeddings=4)


def test_a_corpus_without_a_token_is_refused(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    write_shards(tmp_path, [["", " "], []])
    with pytest.raises(InputError, match="its documents hold no token at all"):
        draw(tmp_path, tokenizer, 10)
