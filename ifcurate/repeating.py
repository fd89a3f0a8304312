"""Something that is done every so often while something else runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def repeating(work: Callable[[], bool], seconds: float, name: str) -> Iterator[None]:
    """While the block runs, call `work` every `seconds` in a thread, the first time after as many.

    Args:
        work: does its work and returns whether it is to be called again; it may not raise.
        seconds: between the end of one call and the beginning of the next.
        name: of the thread.
    """
    stop = threading.Event()

    def repeat() -> None:
        while not stop.wait(seconds) and work():
            pass

    thread = threading.Thread(target=repeat, daemon=True, name=name)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
