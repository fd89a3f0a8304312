"""tau: a quantile of the influence of a whole corpus, whatever part of it has scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ifcurate.errors import InputError
from ifcurate.selection.quantile import Bins, Histogram, Scan, Stratum, order_statistics, weighted_quantiles
from ifcurate.selection.scores import Sidecar
from ifcurate.threads import in_order


def corpus_strata(shards: Sequence[Sidecar]) -> tuple[list[Stratum], int]:
    """Weights and counts of the influence of a corpus, and all its tokens, those without a score too.

    Raises:
        InputError: a score file is missing or damaged, or its documents were screened otherwise than those before it.
    """
    merged: list[Stratum] = []
    tokens = 0
    for shard in shards:
        strata, of_shard = shard.strata()
        merged = merged or [(weight, Histogram()) for weight, _ in strata]
        if [weight for weight, _ in strata] != [weight for weight, _ in merged]:
            raise InputError(
                f"{shard.path}: its documents were screened otherwise than those of {shards[0].path}; delete it and "
                "score its shard again."
            )
        for (_, whole), (_, part) in zip(merged, strata, strict=True):
            whole.merge(part)
        tokens += of_shard
    return merged, tokens


def corpus_taus(
    shards: Sequence[Sidecar],
    strata: Sequence[Stratum],
    quantiles: Sequence[float],
    on_tokens: Callable[[int], None] = lambda tokens: None,
) -> list[np.float32]:
    """The `quantiles` of the influence of all tokens, each counted as often as its weight says.

    Args:
        shards: the corpus.
        strata: its own, from `corpus_strata`.
        quantiles: each in [0, 1].
        on_tokens: called with the number of tokens of every part that was read.

    Raises:
        InputError: a score file is missing or damaged, or holds other scores than its histogram counted.
    """
    return weighted_quantiles(strata, quantiles, _scanning(shards, strata, on_tokens))


def below_highest(
    shards: Sequence[Sidecar], strata: Sequence[Stratum], count: int, on_tokens: Callable[[int], None]
) -> np.float32:
    """The float32 next below the `count` highest scores of a corpus; of none, the highest score.

    Args:
        shards: the corpus, no document of which was screened.
        strata: its own, from `corpus_strata`.
        count: scores; those of all tokens where there are fewer.
        on_tokens: see `corpus_taus`.

    Raises:
        InputError: see `corpus_taus`.
    """
    total = sum(histogram.total for _, histogram in strata)
    rank = total - max(1, min(count, total))
    (lowest,) = order_statistics(strata, [rank], _scanning(shards, strata, on_tokens))
    return np.nextafter(np.float32(lowest), np.float32(-np.inf)) if count else np.float32(lowest)


def _scanning(shards: Sequence[Sidecar], strata: Sequence[Stratum], on_tokens: Callable[[int], None]) -> Scan:
    """Goes over the scores of a corpus, and refuses others than the `strata` counted."""

    def scan(bins: Bins) -> Iterator[tuple[int, NDArray[np.uint32]]]:
        counted = [Histogram(), Histogram()]
        parts = ((shard, part) for shard in shards for part in shard.parts())
        for keys, histograms in in_order(lambda unit: unit[0].keys(bins, unit[1]), parts):
            for total, found in zip(counted, histograms, strict=True):
                total.merge(found)
            on_tokens(sum(histogram.total for histogram in histograms))
            yield from zip(range(len(strata)), keys, strict=False)
        if counted[: len(strata)] != [histogram for _, histogram in strata]:
            for shard in shards:
                shard.check()

    return scan
