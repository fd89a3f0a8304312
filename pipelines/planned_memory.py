"""What the machine at hand has, what each stage holds there, and whether it fits."""

from __future__ import annotations

from ifcurate.influence.batch_size import (
    INTERPRETER_BYTES,
    automatic_batch_tokens,
    bytes_per_position,
    bytes_per_worker,
)
from ifcurate.machine import cores, memory
from ifcurate.model.devices import resolve_batch_tokens
from ifcurate.pipelines.planned import Planned
from ifcurate.pipelines.score import processes
from ifcurate.planning.memory import PROCESS_BYTES, direct_peak, fit_peak, largest_that_fits
from ifcurate.planning.result import PlannedMachine, PlannedMemory


def this_machine(asked: Planned) -> PlannedMachine:
    """Its memory, and the processes that would score."""
    workers = asked.config.workers or processes(asked.config.threads)
    return PlannedMachine("this machine", memory(), min(workers, len(asked.shards)), asked.config.threads, "core")


def planned_memory(asked: Planned, machine: PlannedMachine) -> list[PlannedMemory]:
    """Peaks of the stages; of scoring, that of all workers together."""
    shape, room = asked.model.shape, machine.memory - PROCESS_BYTES
    first = resolve_batch_tokens(asked.config.batch_tokens, asked.device)
    found = []
    if asked.fits:
        peaks = {
            "fit": lambda positions: fit_peak(shape, positions, cores()),
            "direct": lambda positions: direct_peak(shape, positions),
        }
        for stage, peak in peaks.items():
            positions, held = largest_that_fits(peak, first, asked.model.context, room)
            found.append(PlannedMemory(stage, PROCESS_BYTES + held.bytes, held.mostly, positions, held.bytes <= room))
    return [*found, _scoring(asked, machine)]


def _scoring(asked: Planned, machine: PlannedMachine) -> PlannedMemory:
    outline, directions = asked.model.outline, len(asked.behaviours)
    positions = asked.config.batch_tokens or automatic_batch_tokens(
        outline, asked.engine, directions, processes(asked.config.threads)
    )
    at_once = min(positions, resolve_batch_tokens(None, asked.device))
    activations = at_once * bytes_per_position(outline, asked.engine, directions, max(1, positions // at_once))
    each = bytes_per_worker(outline, asked.engine, directions) - INTERPRETER_BYTES + PROCESS_BYTES + activations
    held = machine.processes * each
    return PlannedMemory("score", held, "weights, directions and activations", positions, held <= machine.memory)
