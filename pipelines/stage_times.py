"""What each stage of a run took: a file an invocation, kept up to date, so that a run that was killed adds up."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ifcurate.files import write_text
from ifcurate.pipelines.run_config import STAGES

SECONDS_BETWEEN_NOTES = 1.0


TIMED = (*STAGES[:2], "screen", "count", *STAGES[2:])
"""Stages, and what comes before scoring where a screen or an annotator that counts is given."""


@dataclass
class Stage:
    """A stage's work: seconds, and counts such as tokens and positions."""

    name: str
    seconds: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, **counts: int) -> None:
        """Add to the counts."""
        for label, value in counts.items():
            self.counts[label] = self.counts.get(label, 0) + value

    def rate(self, label: str) -> float:
        """`label` a second."""
        return self.counts.get(label, 0) / self.seconds if self.seconds else 0.0


@contextmanager
def timed(logs: Path, name: str, so_far: Callable[[], Mapping[str, int]] = dict) -> Iterator[Stage]:
    """A stage whose seconds and counts are noted in a file of `logs/stages` every second, and when it ends.

    Args:
        logs: the run's folder of logs.
        name: of the stage.
        so_far: counts that others than this process keep, up to now; they stand beside those of the stage.
    """
    stage, started = Stage(name), time.monotonic()
    file = logs / "stages" / f"{time.time_ns()}-{name}.json"
    stop = threading.Event()

    def note() -> None:
        stage.seconds = time.monotonic() - started
        write_text(file, json.dumps({**vars(stage), "counts": {**stage.counts, **so_far()}}) + "\n")

    def note_often() -> None:
        while not stop.wait(SECONDS_BETWEEN_NOTES):
            note()

    thread = threading.Thread(target=note_often, daemon=True)
    thread.start()
    try:
        yield stage
    finally:
        stop.set()
        thread.join()
        note()


def span(logs: Path, name: str, since: int) -> float:
    """Seconds from where a stage was first begun after `since`, in nanoseconds of the epoch, to what was last noted."""
    begun_and_noted = []
    for file in (logs / "stages").glob(f"*-{name}.json"):
        begun = int(file.name.partition("-")[0])
        if begun > since:
            begun_and_noted.append((begun / 1e9, begun / 1e9 + json.loads(file.read_text(encoding="utf-8"))["seconds"]))
    return max(end for _, end in begun_and_noted) - min(begun_and_noted)[0] if begun_and_noted else 0.0


def read_stages(logs: Path) -> list[Stage]:
    """The stages of a run in their order, all invocations of a stage added up, killed ones too."""
    merged = {name: Stage(name) for name in TIMED}
    for file in sorted((logs / "stages").glob("*.json")):
        noted = json.loads(file.read_text(encoding="utf-8"))
        merged[noted["name"]].seconds += noted["seconds"]
        merged[noted["name"]].add(**noted["counts"])
    return [stage for stage in merged.values() if stage.seconds]
