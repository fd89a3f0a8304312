"""Rows and losses of a verification against what they should be by the definition."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from annotated_corpora import TEXTS, annotate, tiny_neox, word_tokenizer
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from ifcurate.annotation.reader import AnnotatedCorpus, MarkedDocument
from ifcurate.errors import InputError
from ifcurate.evaluation.fluency import Reader
from ifcurate.evaluation.retraining import ordinary_texts, query_texts, rise
from ifcurate.evaluation.retraining_rows import MARKED, RANDOM, RowShape, draw, random_marks, write_rows
from ifcurate.influence.queries import Query
from ifcurate.model.hashes import hash_tokenizer
from ifcurate.model.ranks import Ranks

SHAPE = RowShape(6, 8, 2)


@pytest.fixture
def tokenizer(tmp_path: Path) -> PreTrainedTokenizerFast:
    return word_tokenizer(tiny_neox(tmp_path / "model"))


@pytest.fixture
def corpus(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> AnnotatedCorpus:
    texts = [f"{text} {word}" for word in ("far", "cat", "mat") for text in TEXTS]
    return AnnotatedCorpus(str(annotate(tmp_path / "data", tokenizer, texts)), ["toxic"], tokenizer)


def test_documents_fill_the_rows_and_others_are_held_out(corpus: AnnotatedCorpus) -> None:
    found = draw(corpus, SHAPE, 12, 0)
    stream = sum(len(document.token_ids) + 2 for document in found.trained)
    assert SHAPE.stream - 2 <= stream <= SHAPE.stream
    trained, held_out = ({d.token_ids.tobytes() for d in part} for part in (found.trained, found.held_out))
    assert held_out and not trained & held_out
    assert 12 <= sum(len(document.token_ids) for document in found.held_out) <= 12 + 8
    assert draw(corpus, SHAPE, 12, 0).hash() == found.hash() != draw(corpus, SHAPE, 12, 1).hash()


def test_as_many_others_are_drawn_as_are_marked(corpus: AnnotatedCorpus, tmp_path: Path) -> None:
    found = draw(corpus, SHAPE, 0, 0)
    masks = random_marks(found.trained, 3)
    assert sum(int(mask.sum()) for mask in masks) == found.marked > 0
    assert not any(
        (mask & document.marks.astype(bool)).any() for mask, document in zip(masks, found.trained, strict=True)
    )
    assert any((a != b).any() for a, b in zip(masks, random_marks(found.trained, 4), strict=True))
    write_rows(found.trained, hash_tokenizer(corpus.tokenizer), 3, tmp_path / "rows" / "seed3.parquet")
    for name, wanted in ((MARKED, [document.marks for document in found.trained]), (RANDOM, masks)):
        read = AnnotatedCorpus(str(tmp_path / "rows" / "seed3.parquet"), [name], corpus.tokenizer)
        for document, mask, trained in zip(read.documents(), wanted, found.trained, strict=True):
            assert document.token_ids.tolist() == trained.token_ids.tolist()
            assert document.marks.tolist() == mask.tolist()


def test_refuses_a_corpus_that_is_too_small_or_has_too_few_others(
    tokenizer: PreTrainedTokenizerFast, corpus: AnnotatedCorpus, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"fills \d+ rows of 8 tokens, not 500"):
        draw(corpus, RowShape(500, 8, 2), 0, 0)
    rude = AnnotatedCorpus(str(annotate(tmp_path / "rude", tokenizer, ["vile scum"] * 20)), ["toxic"], tokenizer)
    with pytest.raises(InputError, match="not as many others"):
        draw(rude, SHAPE, 0, 0)
    kind = AnnotatedCorpus(str(annotate(tmp_path / "kind", tokenizer, ["good day cat"] * 20)), ["toxic"], tokenizer)
    with pytest.raises(InputError, match="nothing to leave out"):
        draw(kind, SHAPE, 0, 0)


def test_losses_are_those_of_completions_and_of_unmarked_tokens(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model").eval()
    reader = Reader(model, 64, Ranks(0, 1, "cpu"))
    queries = query_texts([Query("you are", " vile scum"), Query("", "good day")], tokenizer, 16, "q", 32)
    by_hand = [_losses(model, tokenizer, "you are vile scum")[2:].sum(), _losses(model, tokenizer, "good day").sum()]
    assert queries.tokens.tolist() == [2, 2]
    np.testing.assert_allclose(queries.nats(reader, "queries"), by_hand, rtol=1e-5)
    ids = np.array(tokenizer("the cat sat on a mat you are good")["input_ids"], np.int32)
    marks = np.zeros(len(ids), np.uint8)
    marks[[1, 7]] = 1
    ordinary = ordinary_texts(
        [MarkedDocument(ids[:1], np.ones(1, np.uint8)), MarkedDocument(ids, marks)], 0, 16, "corpus"
    )
    expected = _losses(model, tokenizer, "the cat sat on a mat you are good")[marks == 0].sum()
    assert ordinary.tokens.tolist() == [7]
    np.testing.assert_allclose(ordinary.nats(reader, "ordinary"), [expected], rtol=1e-5)
    short = ordinary_texts([MarkedDocument(ids, marks)], 0, 4, "corpus")
    assert short.tokens.tolist() == [7], "every token counts once, however the document is cut"


def _losses(model: torch.nn.Module, tokenizer: PreTrainedTokenizerFast, text: str) -> np.ndarray:
    ids = torch.tensor([[0, *tokenizer(text)["input_ids"]]])
    with torch.no_grad():
        logits = model(input_ids=ids).logits[0, :-1]
    return torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="none").numpy()


def test_a_rise_is_in_nats_per_token_over_texts_and_seeds() -> None:
    tokens = np.array([1.0, 3.0])
    none = np.array([[2.0, 6.0], [2.0, 6.0]])
    marked, others = np.array([[1.0, 3.0], [2.0, 6.0]]), np.array([[0.5, 1.5], [0.5, 1.5]])
    found = rise(none, none + marked, none + others, tokens, 0)
    assert (found.texts, found.tokens, found.loss.value) == (2, 4, 2.0)
    assert found.marked.value == pytest.approx(1.5)
    assert found.random.value == found.random.low == found.random.high == 0.5
    assert (found.difference.low, found.difference.high) == pytest.approx((0.5, 1.5)), "seeds alone differ"
