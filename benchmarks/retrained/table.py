"""Rises of the loss with their intervals, ratios between arms, and what each arm finds of what people labelled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from ifcurate.evaluation.bootstrap import Interval, percentile_intervals

RESAMPLES = 2000

Values = NDArray[np.float64]
"""Summed loss in nats, [seeds, texts]."""


@dataclass(frozen=True)
class Detection:
    """How the tokens that an arm leaves out agree with a label: shares, and the area under precision over recall."""

    precision: float
    recall: float
    auprc: float


def detection(scores: NDArray[np.float32], mask: NDArray[np.bool_], labelled: NDArray[np.bool_]) -> Detection:
    """Of the tokens that `mask` takes, and of the order that `scores` has, bool and float32 [tokens]."""
    hits = int((mask & labelled).sum())
    area = float(average_precision_score(labelled, scores))
    return Detection(hits / max(1, int(mask.sum())), hits / max(1, int(labelled.sum())), area)


def rises(arms: Sequence[Values], base: Sequence[Values], tokens: Values, seed: int) -> list[Interval]:
    """Mean rise a token of each arm over its own base, texts and (where there are several) seeds resampled."""
    estimates = np.array([_mean(arm - own, tokens) for arm, own in zip(arms, base, strict=True)])
    resampled = [
        [_mean(*_drawn(arm - own, tokens, counts, generator)) for arm, own in zip(arms, base, strict=True)]
        for counts, generator in _resamples(len(tokens), seed)
    ]
    return percentile_intervals(estimates, np.array(resampled))


def ratio(arm: Values, other: Values, arm_base: Values, other_base: Values, tokens: Values, seed: int) -> Interval:
    """The rise of one arm over that of another, with the same texts in every resample."""
    pairs = ((arm, arm_base), (other, other_base))
    estimate = _quotient([_mean(values - own, tokens) for values, own in pairs])
    resampled = [
        [_quotient([_mean(*_drawn(values - own, tokens, counts, generator)) for values, own in pairs])]
        for counts, generator in _resamples(len(tokens), seed)
    ]
    return percentile_intervals(np.array([estimate]), np.array(resampled))[0]


def _quotient(pair: Sequence[float]) -> float:
    return pair[0] / pair[1]


def _mean(values: Values, tokens: Values) -> float:
    return float(values.sum() / (len(values) * tokens.sum()))


def _drawn(values: Values, tokens: Values, counts: Values, generator: np.random.Generator) -> tuple[Values, Values]:
    """A resample of texts, the same for every arm, and of the arm's own seeds."""
    seeds = generator.integers(len(values), size=len(values))
    return values[seeds] * counts, tokens * counts


def _resamples(texts: int, seed: int) -> Iterator[tuple[Values, np.random.Generator]]:
    generator = np.random.default_rng(seed)
    for _ in range(RESAMPLES):
        yield np.bincount(generator.integers(texts, size=texts), minlength=texts).astype(np.float64), generator
