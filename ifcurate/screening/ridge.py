"""Ridge regression from sums over documents: dense features, of any number of documents, each seen once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ifcurate.screening.features import Linear

PENALTY = 1e-3
"""x the mean variance of the features, added to their covariance."""


class Moments:
    """Sums of features and targets, and of their products."""

    def __init__(self) -> None:
        self._count = 0
        self._features: NDArray[np.float64] = np.zeros(0)
        self._products: NDArray[np.float64] = np.zeros((0, 0))
        self._with_targets: NDArray[np.float64] = np.zeros(0)
        self._targets = 0.0

    def add(self, features: NDArray[np.float32], targets: NDArray[np.float64]) -> None:
        """Take documents into account: float32 [documents, features], float64 [documents]."""
        wide = features.astype(np.float64)
        if not self._count:
            width = wide.shape[1]
            self._features, self._with_targets = np.zeros(width), np.zeros(width)
            self._products = np.zeros((width, width))
        self._count += len(wide)
        self._features += wide.sum(0)
        self._products += wide.T @ wide
        self._with_targets += wide.T @ targets
        self._targets += float(targets.sum())

    def solve(self) -> Linear:
        """The weights of standardised features that minimise squared error and penalty, as weights of raw ones."""
        means, target = self._features / self._count, self._targets / self._count
        covariance = self._products / self._count - np.outer(means, means)
        scale = np.sqrt(np.diag(covariance).clip(min=0))
        scale = np.where(scale > 0, scale, 1.0)
        along = (self._with_targets / self._count - means * target) / scale
        correlation = covariance / np.outer(scale, scale)
        weights = np.linalg.solve(correlation + PENALTY * np.eye(len(scale)), along) / scale
        return Linear(weights.astype(np.float32), float(target - means @ weights))
