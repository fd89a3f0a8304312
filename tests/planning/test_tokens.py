"""Tokens of a corpus from a sample: the interval holds, however shards and documents are ordered."""

import random

import pytest
from corpora import write_rows
from runs import texts, write_shards
from tiny_models import tiny_tokenizer

from ifcurate.corpus.places import Part, list_place
from ifcurate.corpus.shards import list_shards
from ifcurate.errors import InputError
from ifcurate.planning import tokens
from ifcurate.planning.tokens import sample_corpus

DOCUMENTS = texts(600, seed=5)


@pytest.fixture(scope="module")
def tokenizer():
    return tiny_tokenizer(DOCUMENTS)


def count(tokenizer, documents):
    return sum(map(len, tokenizer(documents, add_special_tokens=False)["input_ids"]))


def cut(documents, shards):
    """Shards of different sizes."""
    ends = sorted(random.Random(shards).sample(range(1, len(documents)), shards - 1))
    return [documents[first:last] for first, last in zip([0, *ends], [*ends, len(documents)], strict=True)]


def test_a_corpus_that_is_read_whole_is_counted(tokenizer, tmp_path):
    corpus = write_shards(tmp_path / "corpus", [*cut(DOCUMENTS, 3), []])
    found = sample_corpus(list_shards(str(corpus)), tokenizer, "text")
    exact = count(tokenizer, DOCUMENTS)
    assert (found.tokens.value, found.tokens.low, found.tokens.high) == (exact, exact, exact)
    assert found.documents.value == len(DOCUMENTS)
    assert found.characters.value == sum(map(len, DOCUMENTS))
    assert sum(drawn.weight for drawn in found.drawn) == len(found.drawn) == len(DOCUMENTS)


@pytest.mark.parametrize("order", ["drawn", "sorted"])
def test_the_interval_holds_on_permuted_corpora(order, tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr(tokens, "MOST_SHARDS", 8)
    monkeypatch.setattr(tokens, "MOST_DOCUMENTS", 160)
    exact = count(tokenizer, DOCUMENTS)
    held, widths = 0, []
    for seed in range(20):
        documents = random.Random(seed).sample(DOCUMENTS, len(DOCUMENTS))
        if order == "sorted":
            documents.sort(key=len)
        for number, part in enumerate(cut(documents, 24)):
            write_rows(tmp_path / str(seed) / f"{number}.jsonl", [{"text": text} for text in part])
        shards = list_shards(str(tmp_path / str(seed)))
        found = sample_corpus(shards, tokenizer, "text", seed=seed)
        assert (found.opened, found.shards) == (8, 24)
        held += found.tokens.low <= exact <= found.tokens.high
        widths.append(found.tokens.half)
    assert held >= 17
    assert max(widths) < 0.6


def test_documents_stand_for_as_many_as_there_are(tokenizer, tmp_path, monkeypatch):
    """Half of the documents, in the shard that is drawn from as much as the other, are a tenth of all."""
    monkeypatch.setattr(tokens, "MOST_DOCUMENTS", 40)
    corpus = write_shards(tmp_path / "corpus", [DOCUMENTS[:540], DOCUMENTS[540:]])
    found = sample_corpus(list_shards(str(corpus)), tokenizer, "text")
    assert sorted({drawn.weight for drawn in found.drawn}) == [3, 27]
    assert sum(drawn.weight for drawn in found.drawn) == pytest.approx(600)


def test_a_limit_counts_the_first_documents_alone(tokenizer, tmp_path):
    corpus = write_shards(tmp_path / "corpus", cut(DOCUMENTS, 4))
    shards = list_place(str(corpus), Part(limit=300)).shards
    assert sample_corpus(shards, tokenizer, "text").tokens.value == count(tokenizer, DOCUMENTS[:300])


def test_other_formats_are_read_whole(tokenizer, tmp_path):
    write_rows(tmp_path / "corpus" / "a.jsonl.gz", [{"text": text} for text in DOCUMENTS])
    found = sample_corpus(list_shards(str(tmp_path / "corpus")), tokenizer, "text")
    assert found.tokens.value == count(tokenizer, DOCUMENTS)


def test_a_corpus_without_a_token_is_refused(tokenizer, tmp_path):
    corpus = write_shards(tmp_path / "corpus", [["", ""]])
    with pytest.raises(InputError, match="option CORPUS: no document that was drawn has a token"):
        sample_corpus(list_shards(str(corpus)), tokenizer, "text")
