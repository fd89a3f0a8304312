"""What a stage takes: a start that is the same for any corpus, and so much a token."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from ifcurate.planning.durations import Took

Basis = Literal["measured here", "measured elsewhere", "given", "assumed, not measured"]


@dataclass(frozen=True)
class StageWork:
    """A stage's work in one process.

    Attributes:
        name: of the stage.
        tokens: of the corpus, the sample or the queries.
        start: what it takes whatever the corpus is.
        each: what a token takes.
        processes: that share the tokens; each of them has a start of its own.
        basis: where start and rate come from.
    """

    name: str
    tokens: float
    start: Took
    each: Took
    processes: int
    basis: Basis

    def of(self, tokens: float) -> StageWork:
        """The same for another number of tokens."""
        return replace(self, tokens=tokens)

    @property
    def seconds(self) -> float:
        """On the clock."""
        return self.start.seconds + self.each.seconds * self.tokens / self.processes

    @property
    def device_seconds(self) -> float:
        """Of all cores or GPUs that are busy with it."""
        return self.start.cpu * self.processes + self.each.cpu * self.tokens
