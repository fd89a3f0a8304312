"""Work timed on a few windows that stand for many."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ifcurate.model.windows import Window
from ifcurate.planning.durations import Took, clocked

SECONDS_A_PART = 5.0
"""That each of the timed parts may take, about: there are seven."""
MOST_TOKENS = 16_384
"""Timed in one part: more of them are no more exact."""


def thinned(windows: Sequence[Window], tokens: float) -> list[Window]:
    """Every k-th window in order of length, about `tokens` tokens of them: as mixed as all; one at the least."""
    order = sorted(windows, key=len, reverse=True)
    every = max(1, round(sum(map(len, windows)) / max(tokens, 1)))
    return order[min(every // 2, len(order) - 1) :: every]


def timed(windows: Sequence[Window], run: Callable[[Sequence[Window]], None]) -> tuple[Took, list[Window]]:
    """What `run` takes on as many windows as can be afforded, and which; it is warm then."""
    first = thinned(windows, 1)
    run(first)
    _, once = clocked(lambda: run(first))
    affordable = SECONDS_A_PART * sum(map(len, first)) / max(once.seconds, 1e-6)
    chosen = thinned(windows, min(MOST_TOKENS, affordable))
    _, took = clocked(lambda: run(chosen))
    return took, chosen


def tokens_of(windows: Sequence[Window]) -> int:
    """Of all windows."""
    return sum(map(len, windows))
