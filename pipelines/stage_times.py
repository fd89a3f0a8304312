"""What each stage of a run took: one line of JSON an invocation, so that a resumed run adds up."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ifcurate.pipelines.run_config import STAGES


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
def timed(logs: Path, name: str) -> Iterator[Stage]:
    """A stage whose seconds are measured, and noted in `logs/stages.jsonl` when it ends well or is stopped."""
    stage, started = Stage(name), time.monotonic()
    try:
        yield stage
    finally:
        stage.seconds = time.monotonic() - started
        logs.mkdir(parents=True, exist_ok=True)
        with (logs / "stages.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(vars(stage)) + "\n")


def read_stages(logs: Path) -> list[Stage]:
    """The stages of a run in their order, invocations of the same stage added up.

    A line that a power cut tore is left out: these are times for people, no result depends on them.
    """
    file = logs / "stages.jsonl"
    merged = {name: Stage(name) for name in STAGES}
    for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else []:
        try:
            noted = json.loads(line)
        except ValueError:
            continue
        merged[noted["name"]].seconds += noted["seconds"]
        merged[noted["name"]].add(**noted["counts"])
    return [stage for stage in merged.values() if stage.seconds]
