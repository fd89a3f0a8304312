"""Work timed on a few batches that stand for many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ifcurate.model.windows import Window, bucket_by_length
from ifcurate.planning.durations import Took, clocked

SECONDS_A_PART = 6.0
"""That each of the timed parts may take, about: there are six."""
PARTS_OF_A_BATCH = 8
"""Whose time says how many batches can be afforded."""
FEWEST_TOKENS = 8
"""Of a batch that shows what any batch takes."""

Batches = list[list[Window]]


@dataclass(frozen=True)
class Rate:
    """What any batch takes, such as moving weights, and what each of its tokens takes."""

    batch: Took
    token: Took

    def of(self, batches: Sequence[Sequence[Window]]) -> Took:
        """All of them."""
        return self.batch.times(len(batches)) + self.token.times(tokens_in(batches))

    def a_token(self, batches: Sequence[Sequence[Window]]) -> Took:
        """On average over these, their batches included."""
        return self.of(batches).times(1 / tokens_in(batches))


def batches_of(windows: Sequence[Window], positions: int) -> Batches:
    """The batches that stages make of windows."""
    return [[windows[index] for index in group] for group in bucket_by_length(list(map(len, windows)), positions)]


def tokens_in(batches: Sequence[Sequence[Window]]) -> int:
    """Of all windows."""
    return sum(len(window) for batch in batches for window in batch)


def timed(batches: Batches, smallest: Window, run: Callable[[Batches], None]) -> Rate:
    """What `run` takes, on every k-th of `batches` from long windows to short ones, as many as can be afforded.

    Where a batch is too much, some of its windows have to do, or the beginning of one.

    Args:
        batches: all there are.
        smallest: a window of few tokens, which alone shows what a batch takes; read before anything is timed, too.
        run: the work.
    """
    run([[smallest]])
    _, least = clocked(lambda: run([[smallest]]))
    middle = batches[len(batches) // 2]
    probe = [middle[: max(1, len(middle) // PARTS_OF_A_BATCH)]]
    _, first = clocked(lambda: run(probe))
    affordable = SECONDS_A_PART * tokens_in(probe) / max(first.seconds, 1e-6)
    every = max(1, round(tokens_in(batches) / affordable))
    chosen, took = batches[every // 2 :: every], first
    if tokens_in(probe) < tokens_in(chosen) < 2 * affordable:
        _, took = clocked(lambda: run(chosen))
    else:  # the last batch alone would be of the shortest windows
        chosen = probe
    count, tokens = len(chosen), tokens_in(chosen)
    token = took.after(least.times(count)).times(1 / max(1, tokens - count * len(smallest)))
    return Rate(least.after(token.times(len(smallest))), token)


def shortened(window: Window, tokens: int) -> Window:
    """Its beginning, all of which carries a loss."""
    return replace(window, token_ids=window.token_ids[:tokens], scored=None)
