"""What each annotator says of tokens, against the same worked out slowly."""

from __future__ import annotations

import math
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from runs import RUDE, texts, write_queries
from tiny_classifiers import save_toxigen
from tiny_models import tiny_tokenizer

from ifcurate.annotators import ANNOTATORS
from ifcurate.annotators.base import Asked, Document, Marks
from ifcurate.annotators.bm25 import BM25
from ifcurate.annotators.classifier import SentenceClassifier
from ifcurate.annotators.random_tokens import RandomTokens
from ifcurate.annotators.whole_documents import DocumentsByWords
from ifcurate.annotators.words import Words, pattern_of
from ifcurate.errors import InputError
from ifcurate.evaluation.classifiers import load_classifier
from ifcurate.influence.queries import read_queries
from ifcurate.model.windows import encode_documents

TEXTS = [*texts(25, seed=3), "... Vile! 👍 VILE-ness, evile; vile dog\nand vile\tcat. 日本 stupid?", "", "no hit"]


@pytest.fixture(scope="module")
def documents() -> list[Document]:
    encodings = encode_documents(tiny_tokenizer(TEXTS), TEXTS)
    return [
        Document(each.token_ids, each.starts, each.ends, text=text) for each, text in zip(encodings, TEXTS, strict=True)
    ]


def covered(document: Document, values: list[float]) -> list[float]:
    """The highest of `values`, one a character, that each token stands on; 0 for tokens without characters."""
    ranges = zip(document.starts, document.ends, strict=True)
    return [max(values[start:end], default=0.0) for start, end in ranges]


def require_equal(marks: Marks, documents: list[Document], expected: list[list[float]]) -> None:
    assert [own.dtype for own in marks] == [np.float32] * len(documents)
    for own, document, values in zip(marks, documents, expected, strict=True):
        assert own == pytest.approx(covered(document, values), rel=1e-6)


def test_words_are_those_of_a_regular_expression(documents: list[Document], tmp_path: Path) -> None:
    (tmp_path / "words").write_text("vile\nvile dog\n stupid \n\nvi\n", encoding="utf-8")
    state = Words.prepare(Asked(words=str(tmp_path / "words")))
    assert state == {"words": ["stupid", "vi", "vile", "vile dog"]}
    slow = re.compile(r"(?<!\w)(?:vile dog|vile|vi|stupid)(?!\w)", re.IGNORECASE)
    expected = []
    for document in documents:
        hits = [0.0] * len(document.text)
        for match in slow.finditer(document.text):
            hits[match.start() : match.end()] = [1.0] * (match.end() - match.start())
        expected.append(hits)
    require_equal(Words(state, {}, Asked()).marks(documents), documents, expected)
    assert sum(map(sum, expected)) > 30


def test_any_words_are_matched_whole_and_literally() -> None:
    listed = ["a.b", "a", "ab", "c++", "(x", "é", "ab cd"]
    found = pattern_of(listed).findall("a.b aXb A ab c++ (x é ab cd abc xa")
    assert found == ["a.b", "A", "ab", "c++", "(x", "é", "ab cd"]


def test_bm25_is_the_formula(documents: list[Document], tmp_path: Path) -> None:
    asked = Asked(queries=(str(write_queries(tmp_path / "queries.jsonl", RUDE)),))
    state = BM25.prepare(asked)
    parts = [BM25.count(state, TEXTS[:9]), BM25.count(state, TEXTS[9:])]
    counts = dict(sum((Counter(part) for part in parts), Counter()))
    assert counts == BM25.count(state, TEXTS)
    marks = BM25(state, counts, asked).marks(documents)

    terms = [[word.lower() for word in re.findall(r"\w+", text)] for text in TEXTS]
    queries = read_queries(asked.queries[0], 100, 0)
    bag = Counter(word.lower() for query in queries for word in re.findall(r"\w+", query.prompt + query.completion))
    mean = sum(map(len, terms)) / len(TEXTS)
    expected = []
    for text, own in zip(TEXTS, terms, strict=True):
        values = [0.0] * len(text)
        for match in re.finditer(r"\w+", text):
            term = match[0].lower()
            holding = sum(term in other for other in terms)
            rarity = math.log(1 + (len(TEXTS) - holding + 0.5) / (holding + 0.5))
            share = bag[term] * rarity * 2.2 / (own.count(term) + 1.2 * (0.25 + 0.75 * len(own) / mean))
            values[match.start() : match.end()] = [share] * (match.end() - match.start())
        expected.append(values)
    require_equal(marks, documents, expected)


def test_bm25_leaves_out_queries_of_no_positive_weight(tmp_path: Path) -> None:
    file = tmp_path / "soft.jsonl"
    file.write_text('{"text": "vile vile", "weight": 0.5}\n{"text": "kind", "weight": -1}\n')
    assert BM25.prepare(Asked(queries=(str(file),))) == {"wanted": {"vile": 1.0}}
    file.write_text('{"text": "kind", "weight": -1}\n')
    with pytest.raises(InputError, match="hold no word of positive weight"):
        BM25.prepare(Asked(queries=(str(file),)))


def test_a_sentence_has_its_own_score(documents: list[Document], tmp_path: Path) -> None:
    asked = Asked(classifier=f"toxigen:{save_toxigen(tmp_path / 'model')}")
    marks = SentenceClassifier(SentenceClassifier.prepare(asked), {}, asked).marks(documents)
    alone = load_classifier(asked.classifier or "", asked.label)
    expected = []
    for text in TEXTS:
        values = [0.0] * len(text)
        for match in re.finditer(r"[^.!?\n]+[.!?\n]*", text):
            score = float(alone.score([match[0]])[0, 0])
            values[match.start() : match.end()] = [score] * (match.end() - match.start())
        expected.append(values)
    for own, document, values in zip(marks, documents, expected, strict=True):
        assert own == pytest.approx(covered(document, values), abs=1e-5)
    assert len({round(float(value), 4) for own in marks for value in own}) > 20


def test_random_marks_are_of_the_text_and_the_seed(documents: list[Document]) -> None:
    marks = RandomTokens(RandomTokens.prepare(Asked(seed=7)), {}, Asked()).marks(documents)
    back = RandomTokens({"seed": 7}, {}, Asked()).marks(documents[::-1])[::-1]
    other = RandomTokens({"seed": 8}, {}, Asked()).marks(documents)
    assert all(np.array_equal(one, two) for one, two in zip(marks, back, strict=True))
    drawn = np.concatenate(marks)
    assert not (drawn == np.concatenate(other)).any()
    assert drawn.dtype == np.float32 and drawn.min() >= 0 and drawn.max() < 1
    assert drawn.mean() == pytest.approx(0.5, abs=4 / math.sqrt(12 * len(drawn)))


@pytest.mark.parametrize(
    ("content", "problem"), [(None, "cannot be read"), (b"\xff", "cannot be read"), (b" \n\n", "holds no word")]
)
def test_word_lists_that_are_refused(content: bytes | None, problem: str, tmp_path: Path) -> None:
    file = tmp_path / "words"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InputError, match=f"option --words: {file} {problem}"):
        Words.prepare(Asked(words=str(file)))


def test_every_annotator_has_a_class_and_says_what_it_is() -> None:
    for spec in ANNOTATORS.values():
        assert spec.method and spec.unit and spec.sign
        assert spec.along or spec.kind.prepare


def test_a_filter_has_the_mean_of_its_document(documents: list[Document]) -> None:
    state = {"words": ["vile", "stupid"]}
    tokens = Words(state, {}, Asked()).marks(documents)
    means = DocumentsByWords(state, {}, Asked()).marks(documents)
    assert [set(own.tolist()) for own in means] == [
        {float(np.float32(own.sum() / len(own)))} if len(own) else set() for own in tokens
    ]
    assert max(own.max(initial=0) for own in means) > 0
