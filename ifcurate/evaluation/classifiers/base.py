"""What a toxicity classifier is, and one made of a sequence-classification model of transformers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ifcurate.errors import InputError
from ifcurate.evaluation.sequence_classifier import SequenceClassifier

TOXICITY = "toxicity"


class Classifier(Protocol):
    """A toxicity classifier.

    Attributes:
        name: for columns and reports.
        identity: differs between classifiers that may score differently: a hash of weights, or a package's version.
        labels: what is scored; the first is the one that EMT and TP are about, the others are sub-types.
    """

    name: str
    identity: str
    labels: tuple[str, ...]

    @property
    def texts_cut(self) -> int:
        """Texts scored so far of which only the beginning was read."""

    def score(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Scores in [0, 1], float32 [texts, labels]."""


class TransformerClassifier:
    """A `Classifier` over some outputs of a sequence-classification model."""

    def __init__(self, name: str, labels: Sequence[str], outputs: Sequence[int], inner: SequenceClassifier) -> None:
        self.name = name
        self.identity = inner.identity
        self.labels = tuple(labels)
        self._outputs = list(outputs)
        self._inner = inner

    @property
    def texts_cut(self) -> int:
        """See `Classifier`."""
        return self._inner.texts_cut

    def score(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """See `Classifier`."""
        return self._inner.scores(texts)[:, self._outputs]


def with_first(name: str, labels: Sequence[str], first: str, inner: SequenceClassifier) -> Classifier:
    """All outputs of `inner` as a classifier whose label `first` comes first.

    Raises:
        InputError: there is no such label.
    """
    if first not in labels:
        raise no_label(name, labels, first)
    outputs = sorted(range(len(labels)), key=lambda index: labels[index] != first)
    return TransformerClassifier(name, [labels[index] for index in outputs], outputs, inner)


def no_label(name: str, labels: Sequence[str], wanted: str) -> InputError:
    """The error of a label that the classifier `name` does not have."""
    return InputError(f"option --label: {name} has no label {wanted!r}; it has {', '.join(labels)}.")
