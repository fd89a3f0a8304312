"""A classifier's score of the sentence that a token is of."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from ifcurate.annotators.base import Asked, Counts, Document, Marks, State, WithoutCounts
from ifcurate.annotators.spread import spread
from ifcurate.evaluation.classifiers import load_classifier
from ifcurate.model.devices import resolve_device

SENTENCE = re.compile(r"[^.!?\n]+[.!?\n]*")
"""Up to full stops, exclamation and question marks or the end of a line, whose characters are of it."""


class SentenceClassifier(WithoutCounts):
    """Scores every sentence on its own, by the first label of the classifier."""

    @classmethod
    def prepare(cls, asked: Asked) -> State:
        """See `Annotator`."""
        assert asked.classifier is not None
        loaded = load_classifier(asked.classifier, asked.label, "cpu", asked.trust)
        return {"name": loaded.name, "identity": loaded.identity, "label": loaded.labels[0]}

    def __init__(self, state: State, counts: Counts, asked: Asked) -> None:
        """See `Annotator`."""
        assert asked.classifier is not None
        self._classifier = load_classifier(asked.classifier, asked.label, resolve_device(asked.device), asked.trust)

    @property
    def texts_cut(self) -> int:  # type: ignore[override]
        """See `Annotator`."""
        return self._classifier.texts_cut

    def marks(self, documents: Sequence[Document]) -> Marks:
        """See `Annotator`."""
        spans = [[match.span() for match in SENTENCE.finditer(document.text)] for document in documents]
        texts = [
            document.text[start:end] for document, found in zip(documents, spans, strict=True) for start, end in found
        ]
        scores = self._classifier.score(texts)[:, 0] if texts else np.zeros(0, np.float32)
        return spread(documents, spans, scores.astype(np.float32))
