"""alt-profanity-check: a linear model that ships its weights with the package."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ifcurate.errors import InputError
from ifcurate.evaluation.classifiers.base import TOXICITY, Classifier, no_label
from ifcurate.model.trust import Trust


class ProfanityCheck:
    """The linear classifier of alt-profanity-check: needs no network and no GPU, knows swear words best."""

    name = "profanity-check"
    labels: tuple[str, ...] = (TOXICITY,)
    texts_cut = 0

    def __init__(self) -> None:
        try:
            from profanity_check import predict_prob
        except ImportError as error:
            raise InputError(
                "option --classifier: profanity-check is not installed; run `pip install 'ifcurate[offline]'`."
            ) from error
        self.identity = f"alt-profanity-check {importlib.metadata.version('alt-profanity-check')}"
        self._predict = predict_prob

    def score(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """See `Classifier`."""
        if not texts:
            return np.zeros((0, 1), dtype=np.float32)
        return np.asarray(self._predict(list(texts)), dtype=np.float32)[:, None]


def load_profanity_check(which: str, label: str | None, device: str, trust: Trust) -> Classifier:
    """The one model there is; `which`, `device` and `trust` choose nothing.

    Raises:
        InputError: the package is not installed, or `label` is another than its only one.
    """
    if label not in (None, TOXICITY):
        raise no_label(ProfanityCheck.name, ProfanityCheck.labels, str(label))
    return ProfanityCheck()
