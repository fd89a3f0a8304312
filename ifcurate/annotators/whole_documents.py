"""Whole documents in the order of what another annotator says of their tokens: filters that drop documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from ifcurate.annotators.base import Annotator, Asked, Counts, Document, Marks, State
from ifcurate.annotators.classifier import SentenceClassifier
from ifcurate.annotators.words import Words


class WholeDocuments:
    """The mean of another annotator's values over a document, on each of its tokens."""

    inner: ClassVar[type[Annotator]]

    @classmethod
    def prepare(cls, asked: Asked) -> State:
        """See `Annotator`."""
        return cls.inner.prepare(asked)

    @classmethod
    def count(cls, state: State, texts: Sequence[str]) -> Counts:
        """See `Annotator`."""
        return cls.inner.count(state, texts)

    @classmethod
    def keep(cls, asked: Asked) -> None:
        """See `Annotator`."""
        cls.inner.keep(asked)

    def __init__(self, state: State, counts: Counts, asked: Asked) -> None:
        """See `Annotator`."""
        self._inner = self.inner(state, counts, asked)

    @property
    def texts_cut(self) -> int:
        """See `Annotator`."""
        return self._inner.texts_cut

    def marks(self, documents: Sequence[Document]) -> Marks:
        """See `Annotator`."""
        return [
            np.full(len(own), own.mean(dtype=np.float64) if len(own) else 0, np.float32)
            for own in self._inner.marks(documents)
        ]


class DocumentsByWords(WholeDocuments):
    """The share of a document's tokens that are of a listed word."""

    inner = Words


class DocumentsByClassifier(WholeDocuments):
    """The mean of the sentences' scores, each counted by its tokens."""

    inner = SentenceClassifier
