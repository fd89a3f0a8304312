"""A rising function between two distributions: the q-quantile of one goes to the q-quantile of the other."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.floating[Any]]

GRID = tuple(step / 10 for step in range(-50, 51))
"""Where quantiles are compared, in standard deviations of a normal distribution: dense in the tails."""
END = 10
"""Steps of the grid whose mean slope goes on beyond either end."""
MOST = 1 << 24
"""Values that quantiles are taken of: of more, every second, third, ... one."""


@dataclass(frozen=True)
class QuantileMap:
    """Piecewise linear between knots; both lists rise strictly, and have two or more entries."""

    knots: tuple[float, ...]
    images: tuple[float, ...]

    def __post_init__(self) -> None:
        both = np.array([self.knots, self.images])
        if both.shape[1] < 2 or not (np.isfinite(both).all() and (np.diff(both) > 0).all()):
            raise ValueError("knots and images must rise, and be two or more")

    @classmethod
    def between(cls, values: Values, images: Values) -> QuantileMap:
        """From the distribution of `values` to that of `images`, neither of which is constant.

        Raises:
            ValueError: one has no two different quantiles.
        """
        shares = _shares(min(len(values), len(images)))
        return cls._rising(_quantiles(values, shares), _quantiles(images, shares))

    @classmethod
    def to_normal(cls, values: Values) -> QuantileMap:
        """From the distribution of `values` to the standard normal one.

        Raises:
            ValueError: the values are all the same, or there is none.
        """
        shares = _shares(len(values))
        normal = NormalDist()
        return cls._rising(_quantiles(values, shares), np.array([normal.inv_cdf(share) for share in shares]))

    @classmethod
    def from_json(cls, text: str) -> QuantileMap:
        """What `to_json` wrote."""
        return cls(*map(tuple, json.loads(text)))

    def to_json(self) -> str:
        """Both lists, exactly."""
        return json.dumps([self.knots, self.images])

    def of(self, values: Values) -> NDArray[np.float64]:
        """float64, of any shape."""
        knots, images = np.array(self.knots), np.array(self.images)
        wide = values.astype(np.float64)
        found: NDArray[np.float64] = np.interp(wide, knots, images)
        last = min(END, len(knots) - 1)
        found += np.minimum(wide - knots[0], 0) * (images[last] - images[0]) / (knots[last] - knots[0])
        found += np.maximum(wide - knots[-1], 0) * (images[-1] - images[-1 - last]) / (knots[-1] - knots[-1 - last])
        return found

    @classmethod
    def _rising(cls, knots: NDArray[np.float64], images: NDArray[np.float64]) -> QuantileMap:
        """Without the points at which either stands still."""
        kept = [0] if len(knots) else []
        for index in range(1, len(knots)):
            if knots[index] > knots[kept[-1]] and images[index] > images[kept[-1]]:
                kept.append(index)
        return cls(tuple(knots[kept].tolist()), tuple(images[kept].tolist()))


def _shares(count: int) -> list[float]:
    """Shares of the values below each point of the grid, as far as so many values have any beyond."""
    normal = NormalDist()
    return [share for share in map(normal.cdf, GRID) if min(share, 1 - share) * count >= 0.5]


def _quantiles(values: Values, shares: Sequence[float]) -> NDArray[np.float64]:
    some = values[:: -(-len(values) // MOST) or 1]
    return np.quantile(some.astype(np.float64), shares) if len(some) else np.zeros(0)
