"""How far the workers are: each task writes a line to a file of its own, the recipe reads them all."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ifcurate.progress import Tracker

SECONDS_BETWEEN_LOOKS = 0.5
SUFFIX = ".beat"


def beat(folder: Path, task: str, done_bytes: float, tokens: int) -> None:
    """Say that `task`, which may be a path such as a shard's name, has worked through `done_bytes` and `tokens`."""
    file = folder / f"{task}{SUFFIX}"
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_suffix(".fresh")
    fresh.write_text(f"{done_bytes} {tokens}", encoding="ascii")
    fresh.replace(file)


def read_beats(folder: Path) -> tuple[float, int]:
    """Bytes and tokens done, over all tasks."""
    done_bytes, tokens = 0.0, 0
    for file in folder.rglob(f"*{SUFFIX}"):
        first, second = file.read_text(encoding="ascii").split()
        done_bytes, tokens = done_bytes + float(first), tokens + int(second)
    return done_bytes, tokens


@contextmanager
def watching(folder: Path, tracker: Tracker) -> Iterator[None]:
    """While the block runs, pass what the workers say on to `tracker`."""
    stop = threading.Event()

    def look() -> None:
        while not stop.wait(SECONDS_BETWEEN_LOOKS):
            tracker.update(*read_beats(folder))

    thread = threading.Thread(target=look, daemon=True)
    with tracker:
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            tracker.update(*read_beats(folder))
