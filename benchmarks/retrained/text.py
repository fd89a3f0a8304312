"""Arms that read the text alone: a word list, BM25 against the queries, a classifier of sentences."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ifcurate.evaluation.classifiers import load_classifier
from ifcurate.influence.queries import Query
from ifcurate.model.windows import Encoding
from retrained.documents import Documents

WORD = re.compile(r"\w+")
SENTENCE = re.compile(r"[^.!?\n]+[.!?\n]*")
K1, B = 1.2, 0.75
"""Of BM25, as Lucene has them."""

Scores = NDArray[np.float32]
Scored = Sequence[tuple[int, int, float]]
"""Character ranges with a score."""


def words(documents: Documents, file: Path) -> Scores:
    """1 on the tokens of a listed word, beside it less with every token of distance: its neighbours come next."""
    listed = "|".join(re.escape(line.strip()) for line in file.read_text(encoding="utf-8").splitlines() if line.strip())
    hit = re.compile(rf"(?<!\w)(?:{listed})(?!\w)", re.IGNORECASE)
    found = []
    for text, encoding in zip(documents.texts, documents.encodings, strict=True):
        spans = [(match.start(), match.end(), 1.0) for match in hit.finditer(text)]
        found.append(_nearness(_spread(encoding, spans) > 0))
    return np.concatenate(found)


def _nearness(hits: NDArray[np.bool_]) -> Scores:
    """1 / (1 + distance to the nearest hit), 0 where there is none."""
    if not hits.any():
        return np.zeros(len(hits), np.float32)
    places = np.flatnonzero(hits)
    distance = np.abs(np.arange(len(hits))[:, None] - places[None]).min(1)
    return (1 / (1 + distance)).astype(np.float32)


def bm25(documents: Documents, queries: Sequence[Query]) -> Scores:
    """What each occurrence of a word adds to its document's score against all queries together (Robertson 2009)."""
    counts = [Counter(_terms(text)) for text in documents.texts]
    wanted = Counter(term for query in queries for term in _terms(query.prompt + query.completion))
    holding = Counter(term for count in counts for term in count)
    mean = sum(count.total() for count in counts) / len(counts)
    found = []
    for text, encoding, count in zip(documents.texts, documents.encodings, counts, strict=True):
        length = K1 * (1 - B + B * count.total() / mean)
        share = {
            term: wanted[term] * _rarity(holding[term], len(counts)) * (K1 + 1) / (times + length)
            for term, times in count.items()
            if wanted[term]
        }
        spans = [(match.start(), match.end(), share.get(match[0].lower(), 0.0)) for match in WORD.finditer(text)]
        found.append(_spread(encoding, spans))
    return np.concatenate(found)


def _terms(text: str) -> list[str]:
    return [match[0].lower() for match in WORD.finditer(text)]


def _rarity(holding: int, documents: int) -> float:
    return math.log(1 + (documents - holding + 0.5) / (holding + 0.5))


def classifier(documents: Documents, name: str) -> Scores:
    """A classifier's probability for the sentence that a token is of."""
    spans = [[match.span() for match in SENTENCE.finditer(text)] for text in documents.texts]
    texts = [text[start:end] for text, found in zip(documents.texts, spans, strict=True) for start, end in found]
    chances = iter(load_classifier(name).score(texts)[:, 0].tolist())
    return np.concatenate(
        [
            _spread(encoding, [(start, end, next(chances)) for start, end in found])
            for encoding, found in zip(documents.encodings, spans, strict=True)
        ]
    )


def _spread(encoding: Encoding, spans: Scored) -> Scores:
    """The score of the last span that a token overlaps, 0 where there is none."""
    values = np.zeros(len(encoding), np.float32)
    for start, end, score in spans:
        values[(encoding.starts < end) & (encoding.ends > start)] = score
    return values
