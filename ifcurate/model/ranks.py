"""The processes of one launch (`torchrun`, `accelerate launch`): who does what, and how results come together."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

from ifcurate.errors import InputError
from ifcurate.launch import processes
from ifcurate.model.devices import resolve_device

Item = TypeVar("Item")

LAUNCH = ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
"""What torchrun tells its processes in their environment, besides WORLD_SIZE."""


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
        parts = self.gather(list(shared))
        return [part[row] for row in range(len(parts[0])) for part in parts if row < len(part)]

    def gather(self, item: Item) -> list[Item]:
        """What each process has, in their order; the same list in every process."""
        if self.count == 1:
            return [item]
        from torch.distributed import all_gather_object

        items: list[Item] = [item] * self.count
        all_gather_object(items, item)
        return items

    def sum(self, tensors: Iterable[torch.Tensor]) -> None:
        """Replace each tensor by its sum over all processes, which have the same ones in the same order."""
        if self.count > 1:
            from torch.distributed import all_reduce

            for tensor in tensors:
                assert tensor.is_contiguous(), "its memory is summed as it lies"
                all_reduce(tensor)

    def sum_named(self, sums: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Float32 tensors by name, summed over all processes; one that a process lacks counts as zeros."""
        if self.count == 1:
            return dict(sums)
        shapes = {name: shape for own in self.gather(_shapes(sums)) for name, shape in own.items()}
        found = {
            name: sums[name] if name in sums else torch.zeros(shapes[name], device=self.device)
            for name in sorted(shapes)
        }
        self.sum(found.values())
        return found

    def spread(self, tensors: Sequence[torch.Tensor], owner: int) -> list[torch.Tensor]:
        """The tensors of process number `owner`; the others give some of the same shapes, which are overwritten."""
        if self.count == 1:
            return list(tensors)
        from torch.distributed import broadcast

        spread = [tensor.contiguous() for tensor in tensors]
        for tensor in spread:
            broadcast(tensor, owner)
        return spread

    def lead(self, begin: Callable[[], Item], follow: Callable[[], Item]) -> Item:
        """What `begin` gives in the first process and, once it is done there, `follow` in the others."""
        if not self.first:
            self.wait()
            return follow()
        found = begin()
        self.wait()
        return found

    def wait(self) -> None:
        """Return once every process is here."""
        if self.count > 1:
            from accelerate import PartialState

            PartialState().wait_for_everyone()


ALONE = Ranks(0, 1, "cpu")
"""A process that is no part of a launch; where it computes is up to what it is given."""


def _shapes(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in tensors.items()}


def find_ranks(device: str) -> Ranks:
    """Where this process stands; on its own, it does everything on `device`.

    Raises:
        InputError: a GPU is asked for that is not there, or of a launch only WORLD_SIZE is told.
    """
    own = resolve_device(device)
    launched = processes()
    if launched == 1:
        return Ranks(0, 1, own)
    if missing := [name for name in LAUNCH if name not in os.environ]:
        raise InputError(
            f"WORLD_SIZE is {launched}, but {missing[0]} is not set; start this with torchrun, or unset WORLD_SIZE."
        )
    from accelerate import PartialState

    state = PartialState(cpu=own == "cpu")  # left to itself it takes each process for alone where there is no GPU
    assert state.num_processes == launched, "the processes of a launch know of each other"
    return Ranks(state.process_index, state.num_processes, str(state.device))
