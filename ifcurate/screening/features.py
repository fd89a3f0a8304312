"""What a screen sees of a text, and how it learns from that: the kinds there are, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ifcurate.registry import load
from ifcurate.screening.kinds import FEATURES

Matrix = Any
"""float32 [documents, features], dense or a sparse matrix of SciPy's."""


@dataclass(frozen=True)
class Linear:
    """A linear function of features: `weights` float32 [features]."""

    weights: NDArray[np.float32]
    intercept: float

    def of(self, features: Matrix) -> NDArray[np.float32]:
        """float32 [documents]."""
        return (np.asarray(features @ self.weights) + np.float32(self.intercept)).astype(np.float32)


Batches = Callable[[], Iterator[tuple[Matrix, NDArray[np.float64]]]]
"""Gives features and targets (float64 [documents]) of some documents, again and again in the same order."""


class Features(Protocol):
    """A kind of features. Its fields are what it needs to know, in JSON; what it computes with is loaded late."""

    def of(self, texts: Sequence[str]) -> Matrix:
        """One row a text."""

    def identified(self) -> Features:
        """The same, saying by hash what it computes with."""

    def fit(self, batches: Batches, seed: int) -> Linear:
        """The linear function of these features that is nearest to the targets."""


def kind_of(name: str) -> type[Features]:
    """The class of a kind in `FEATURES`."""
    found: type[Features] = load(FEATURES[name])
    return found
