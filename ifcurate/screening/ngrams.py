"""Words and pairs of words, hashed: what costs next to nothing to see of a text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ifcurate.errors import InputError
from ifcurate.screening.features import Batches, Linear, Matrix

PASSES = 20
"""Over the documents, by stochastic gradient descent."""
PENALTY = 1e-6


@dataclass(frozen=True)
class NGrams:
    """Runs of one to `words` words, each hashed to one of 2**`bits` columns; a row's length is 1."""

    bits: int = 18
    words: int = 2

    def of(self, texts: Sequence[str]) -> Matrix:
        """Sparse [texts, 2**bits]."""
        return self._vectorizer.transform(texts)

    def identified(self) -> NGrams:
        """Itself: it computes with nothing that could be another."""
        return self

    def fit(self, batches: Batches, seed: int) -> Linear:
        """Ridge regression, by batches, so that the documents need not fit into memory."""
        from sklearn.linear_model import SGDRegressor

        model = SGDRegressor(alpha=PENALTY, learning_rate="constant", eta0=0.1, average=True, random_state=seed)
        for _ in range(PASSES):
            for features, targets in batches():
                model.partial_fit(features, targets)
        return Linear(model.coef_.astype(np.float32), float(model.intercept_[0]))

    @cached_property
    def _vectorizer(self) -> Any:
        return _sklearn_text().HashingVectorizer(
            n_features=1 << self.bits, ngram_range=(1, self.words), dtype=np.float32, token_pattern=r"\b\w+\b"
        )


def _sklearn_text() -> Any:
    try:
        from sklearn.feature_extraction import text
    except ImportError as error:
        raise InputError(
            "option --kind: ngrams needs scikit-learn, which is not installed; run `pip install 'ifcurate[screen]'`, "
            "or give --kind probe."
        ) from error
    return text
