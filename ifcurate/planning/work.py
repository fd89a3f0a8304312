"""What a stage takes: a start that is the same for any corpus, and so much a token."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, get_args

from ifcurate.planning.durations import Took

Basis = Literal["measured here", "given", "measured elsewhere", "assumed, not measured"]
BASES: tuple[Basis, ...] = get_args(Basis)
"""From the surest on."""


def least_sure(bases: Iterable[Basis]) -> Basis:
    """What a sum rests on: the least sure of its parts."""
    return max(bases, key=BASES.index, default=BASES[0])


NOTHING = Took()


@dataclass(frozen=True)
class StageWork:
    """A stage's work.

    Attributes:
        name: of the stage.
        tokens: of the corpus, the sample or the queries.
        start: what it takes whatever the corpus is.
        each: what a token takes of the model.
        processes: that share the tokens; each of them has a start of its own.
        basis: where start and rate come from.
        besides: what a token takes without the model: tokenizing and writing.
    """

    name: str
    tokens: float
    start: Took
    each: Took
    processes: int
    basis: Basis
    besides: Took = NOTHING

    def of(self, tokens: float) -> StageWork:
        """The same for another number of tokens."""
        return replace(self, tokens=tokens)

    def with_model(self, factor: float) -> StageWork:
        """The same with a model, or an engine, that takes `factor` times as long a token."""
        return replace(self, each=self.each.times(factor))

    def at_rate(self, tokens_per_second: float) -> StageWork:
        """The same at a rate of one process that somebody gives."""
        each = Took(1 / tokens_per_second, 1 / tokens_per_second)
        return replace(self, each=each, besides=Took(), basis="given")

    @property
    def seconds(self) -> float:
        """On the clock."""
        return self.start.seconds + (self.each + self.besides).seconds * self.tokens / self.processes

    @property
    def device_seconds(self) -> float:
        """Of all cores or GPUs that are busy with it."""
        return self.start.cpu * self.processes + (self.each + self.besides).cpu * self.tokens
