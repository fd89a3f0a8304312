"""A plan: what a run will take, as it is printed and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ifcurate.planning.estimates import Interval
from ifcurate.planning.work import Basis, least_sure

SECONDS_AN_HOUR = 3600.0


@dataclass(frozen=True)
class PlannedCorpus:
    """Where it is, its shards, of which some were opened, its bytes as stored, and estimates of what they hold."""

    place: str
    shards: int
    opened: int
    bytes: int
    documents: Interval
    characters: Interval
    tokens: Interval
    tokenized: int


@dataclass(frozen=True)
class PlannedShape:
    """The model: its parameters, those that influence is over, tokens a window, engine and dtype of scoring."""

    name: str
    parameters: int
    tracked: int
    context: int
    engine: str
    dtype: str


@dataclass(frozen=True)
class PlannedMachine:
    """What computes: its name, the bytes a process may use, processes that score and threads of each."""

    name: str
    memory: int
    processes: int
    threads: int
    unit: str


def cost_of(machine: PlannedMachine, price: float | None, hours: float, device_hours: float) -> float | None:
    """At a price of an hour: of each GPU, or of the machine whose cores compute; None without a price."""
    if price is None:
        return None
    return price * (device_hours if machine.unit == "GPU" else hours)


@dataclass(frozen=True)
class PlannedStage:
    """A stage: tokens it works on, hours on the clock, hours of cores or GPUs, and where they come from.

    The interval is that of the corpus's tokens alone.
    """

    name: str
    tokens: float
    hours: Interval
    device_hours: Interval
    cost: float | None
    basis: Basis


@dataclass(frozen=True)
class PlannedMemory:
    """What a stage holds at its peak, all of its processes together, and whether it fits.

    `positions` are those of a batch, halved until it fits, or until no batch would.
    """

    stage: str
    bytes: int
    mostly: str
    positions: int
    fits: bool


@dataclass(frozen=True)
class PlannedFiles:
    """What is on disk in the end, or while a stage runs."""

    what: str
    bytes: Interval
    stays: bool = True


def staying(files: Sequence[PlannedFiles]) -> float:
    """Bytes of those that stay."""
    return sum(each.bytes.value for each in files if each.stays)


@dataclass(frozen=True)
class PlannedAlternative:
    """What all of it would be with one choice made otherwise, what its hours rest on, and what says so."""

    what: str
    hours: float
    device_hours: float
    cost: float | None
    bytes: float
    basis: Basis
    because: str


@dataclass(frozen=True)
class Plan:
    """All of it; `notes` are sentences of what was assumed or left out."""

    corpus: PlannedCorpus
    model: PlannedShape
    machine: PlannedMachine
    stages: list[PlannedStage]
    memory: list[PlannedMemory]
    disk: list[PlannedFiles]
    alternatives: list[PlannedAlternative]
    notes: list[str]
    price: float | None = None

    @property
    def hours(self) -> float:
        """On the clock, one stage after the other."""
        return sum(stage.hours.value for stage in self.stages)

    @property
    def device_hours(self) -> float:
        """Of cores or GPUs."""
        return sum(stage.device_hours.value for stage in self.stages)

    @property
    def basis(self) -> Basis:
        """What the sums rest on."""
        return least_sure(stage.basis for stage in self.stages)

    @property
    def cost(self) -> float | None:
        """At the price."""
        costs = [stage.cost for stage in self.stages if stage.cost is not None]
        return sum(costs) if costs else None

    @property
    def stored(self) -> float:
        """Bytes that stay."""
        return staying(self.disk)

    def as_json(self) -> dict[str, Any]:
        """Everything, sums too."""
        hours = {"hours": self.hours, "device_hours": self.device_hours, "cost": self.cost, "basis": self.basis}
        sums = {**hours, "bytes": self.stored}
        return {**asdict(self), "total": sums}
