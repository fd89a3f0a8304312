"""How long something took, on the clock and on the processor: where others compute, only the latter is its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True)
class Took:
    """`seconds` on the clock, and `cpu` seconds of all threads of this process."""

    seconds: float = 0.0
    cpu: float = 0.0

    def __add__(self, other: Took) -> Took:
        return Took(self.seconds + other.seconds, self.cpu + other.cpu)

    def times(self, factor: float) -> Took:
        """So many times as long."""
        return Took(self.seconds * factor, self.cpu * factor)

    def after(self, other: Took) -> Took:
        """What is left of it once `other` is taken off, nothing at the least."""
        return Took(max(0.0, self.seconds - other.seconds), max(0.0, self.cpu - other.cpu))


def clocked(work: Callable[[], Result]) -> tuple[Result, Took]:
    """What `work` returns, and how long it took."""
    began = time.perf_counter(), time.process_time()
    result = work()
    return result, Took(time.perf_counter() - began[0], time.process_time() - began[1])
