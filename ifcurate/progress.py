"""Progress of long work: a rich bar on a terminal, one plain line every few seconds elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

SECONDS_BETWEEN_LINES = 10.0

log = logging.getLogger("ifcurate")
"""What happens, for people. It says nothing until an application sets its level, as the command line does."""


class Tracker(Protocol):
    """What a stage reports to: `completed` of `total` work units, and a count of `items` whose rate is shown."""

    def update(self, completed: float, items: int) -> None:
        """Set the work done so far (in units of `total`) and the items processed so far."""

    def __enter__(self) -> Tracker: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def track(stage: str, total: float, unit: str = "tokens") -> Tracker:
    """A tracker for `stage` that fits where standard error goes: a bar on a terminal, lines of the log otherwise.

    Where the logger `ifcurate` is set to warnings only, there is no bar either.
    """
    if log.level > logging.INFO:
        return LineTracker(stage, total, unit)
    console = Console(file=sys.stderr)
    if console.is_terminal:
        return BarTracker(stage, total, unit, console)
    return LineTracker(stage, total, unit)


def counting(tracker: Tracker, on_batch: Callable[[int], None] = lambda items: None) -> Callable[[int], None]:
    """What to call with the items of every batch: `tracker`, whose unit they are, is told their sum."""
    done = 0

    def count(items: int) -> None:
        nonlocal done
        done += items
        tracker.update(done, done)
        on_batch(items)

    return count


class BarTracker:
    """A live bar with rate and time left."""

    def __init__(self, stage: str, total: float, unit: str, console: Console) -> None:
        self._started = time.monotonic()
        self._unit = unit
        columns = (
            TextColumn("{task.description:<8}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[rate]}", markup=False),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*columns, console=console)
        self._task = self._bar.add_task(stage, total=max(total, 1e-9), rate="")

    def update(self, completed: float, items: int) -> None:
        """See `Tracker.update`."""
        rate = _rate(items, time.monotonic() - self._started)
        self._bar.update(self._task, completed=completed, rate=f"{rate} {self._unit}/s")

    def __enter__(self) -> BarTracker:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()


class Unseen:
    """Tracks nothing: for all processes of a launch but the first."""

    def update(self, completed: float, items: int) -> None:
        """See `Tracker.update`."""

    def __enter__(self) -> Unseen:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class LineTracker:
    """One line every `SECONDS_BETWEEN_LINES` seconds, for logs."""

    def __init__(self, stage: str, total: float, unit: str) -> None:
        self._stage, self._total, self._unit = stage, max(total, 1e-9), unit
        self._started = self._printed = time.monotonic()

    def update(self, completed: float, items: int) -> None:
        """See `Tracker.update`."""
        now = time.monotonic()
        if now - self._printed < SECONDS_BETWEEN_LINES:
            return
        self._printed = now
        elapsed, share = now - self._started, min(completed / self._total, 1.0)
        left = f"{elapsed * (1 - share) / share:,.0f} s left" if share > 0 else "time left unknown"
        line = f"{self._stage}: {share:.1%}, {items:,} {self._unit}, {_rate(items, elapsed)} {self._unit}/s, {left}"
        log.info(line)

    def __enter__(self) -> LineTracker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


def _rate(items: int, seconds: float) -> str:
    """Items a second; slow ones, such as training steps, with decimals."""
    rate = items / max(seconds, 1e-9)
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.2f}"
