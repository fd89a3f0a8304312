"""Work shared out among threads, its results in order: for what lets go of Python's lock, as Arrow and NumPy do."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from ifcurate.machine import cores

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(work: Callable[[Item], Result], items: Iterable[Item], threads: int | None = None) -> Iterator[Result]:
    """The result of `work` for each of `items`, in their order, at most one more than there are threads at a time.

    Args:
        work: is called in a thread; what it raises is raised here, in the order of the items.
        items: are taken as threads become free.
        threads: default: the cores that this process may use.
    """
    threads = threads or cores()
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
