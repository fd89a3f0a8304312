"""The processes of one launch (`torchrun`, `accelerate launch`): who does what, and how results come together."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from ifcurate.model.devices import resolve_device

Item = TypeVar("Item")


@dataclass(frozen=True)
class Ranks:
    """This process's place: number `index` of `count`, computing on `device`."""

    index: int
    count: int
    device: str

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes results and prints."""
        return self.index == 0

    def share(self, items: Sequence[Item]) -> list[Item]:
        """Every `count`-th of `items`, beginning with number `index`."""
        return list(items[self.index :: self.count])

    def join(self, shared: Sequence[Item]) -> list[Item]:
        """What all processes have, in the order that `share` took apart; the same list in every process."""
        if self.count == 1:
            return list(shared)
        from torch.distributed import all_gather_object

        parts: list[list[Item]] = [[] for _ in range(self.count)]
        all_gather_object(parts, list(shared))
        return [part[row] for row in range(len(parts[0])) for part in parts if row < len(part)]

    def wait(self) -> None:
        """Return once every process is here."""
        if self.count > 1:
            from accelerate import PartialState

            PartialState().wait_for_everyone()


def find_ranks(device: str) -> Ranks:
    """Where this process stands; on its own, it does everything on `device`.

    Raises:
        InputError: a GPU is asked for that is not there.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Ranks(0, 1, resolve_device(device))
    from accelerate import PartialState

    state = PartialState(cpu=device == "cpu")
    return Ranks(state.process_index, state.num_processes, str(state.device))
