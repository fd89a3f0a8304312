"""How far the workers are: each task writes a line to a file of its own, the recipe reads them all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ifcurate.corpus.shards import Shard, known, open_shard
from ifcurate.progress import Tracker
from ifcurate.repeating import repeating

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


class Pulse:
    """Says how far a task is that works through `shards` one after the other, in groups of rows.

    Every row of a shard counts as many bytes.
    """

    def __init__(self, folder: Path, shards: Sequence[Shard]) -> None:
        """`folder` is where the beats go."""
        self._folder = folder
        self._shards = {shard.name: known(shard) for shard in shards}
        self._current: str | None = None
        self._bytes_per_row = 0.0
        self._tokens = 0

    def group(self, shard: str, first_row: int, rows: int, tokens: int) -> Callable[[int], None]:
        """What to call, with its tokens, after every batch of the next `rows` rows, which have `tokens` tokens."""
        if shard != self._current:
            found = self._shards[shard]
            self._current, self._bytes_per_row, self._tokens = shard, found.size / open_shard(found).num_rows, 0
        before = self._tokens

        def on_batch(done: int) -> None:
            self._tokens += done
            share = (self._tokens - before) / tokens if tokens else 1.0
            beat(self._folder, shard, self._bytes_per_row * (first_row + share * rows), self._tokens)

        if not tokens:
            on_batch(0)  # there will be no batch
        return on_batch


@contextmanager
def watching(folder: Path, tracker: Tracker) -> Iterator[None]:
    """While the block runs, pass what the workers say on to `tracker`."""

    def look() -> bool:
        tracker.update(*read_beats(folder))
        return True

    with tracker:
        try:
            with repeating(look, SECONDS_BETWEEN_LOOKS, "progress"):
                yield
        finally:
            look()
