"""Arms that read the text alone: a word list, BM25 against the queries, a classifier of sentences."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ifcurate.annotators.base import Annotator, Asked, Document, Marks, State
from ifcurate.annotators.bm25 import BM25, wanted_terms
from ifcurate.annotators.classifier import SentenceClassifier
from ifcurate.annotators.words import Words
from ifcurate.influence.queries import Query
from retrained.documents import Documents

Scores = NDArray[np.float32]


def words(documents: Documents, file: Path) -> Scores:
    """1 on the tokens of a listed word, beside it less with every token of distance: its neighbours come next."""
    asked = Asked(words=str(file))
    return np.concatenate([_nearness(hits > 0) for hits in _marks(Words, Words.prepare(asked), asked, documents)])


def bm25(documents: Documents, queries: Sequence[Query]) -> Scores:
    """What each occurrence of a word adds to its document's score against all queries together."""
    return np.concatenate(_marks(BM25, {"wanted": wanted_terms(queries)}, Asked(), documents))


def classifier(documents: Documents, name: str) -> Scores:
    """A classifier's probability for the sentence that a token is of."""
    asked = Asked(classifier=name)
    return np.concatenate(_marks(SentenceClassifier, SentenceClassifier.prepare(asked), asked, documents))


def _marks(kind: type[Annotator], state: State, asked: Asked, documents: Documents) -> Marks:
    read = [
        Document(encoding.token_ids, encoding.starts, encoding.ends, text=text)
        for text, encoding in zip(documents.texts, documents.encodings, strict=True)
    ]
    return kind(state, kind.count(state, documents.texts), asked).marks(read)


def _nearness(hits: NDArray[np.bool_]) -> Scores:
    """1 / (1 + distance to the nearest hit), 0 where there is none."""
    places = np.flatnonzero(hits)
    if not len(places):
        return np.zeros(len(hits), np.float32)
    token = np.arange(len(hits))
    behind = np.searchsorted(places, token)
    nearest = [places[np.clip(behind - side, 0, len(places) - 1)] for side in (0, 1)]
    distance = np.minimum(*(np.abs(token - place) for place in nearest))
    return (1 / (1 + distance)).astype(np.float32)
