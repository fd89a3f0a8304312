"""The machine that is planned for, what each stage holds there, and whether it fits."""

from __future__ import annotations

import torch

from ifcurate.influence.batch_size import (
    INTERPRETER_BYTES,
    PASSES,
    SHARE_FOR_ACTIVATIONS,
    automatic_batch_tokens,
    bytes_per_position,
    bytes_per_worker,
)
from ifcurate.influence.curvature.eigenbasis import BATCH_BYTES
from ifcurate.influence.engines import ENGINES
from ifcurate.machine import cores, memory
from ifcurate.model.devices import CPU_BATCH_TOKENS, GPU_BATCH_TOKENS
from ifcurate.pipelines.planned import Planned
from ifcurate.pipelines.score import processes
from ifcurate.planning.disk import factors_bytes
from ifcurate.planning.memory import (
    PROCESS_BYTES,
    Peak,
    direct_peak,
    fit_peak,
    largest_that_fits,
    matrices_bytes,
    vectors_bytes,
)
from ifcurate.planning.result import PlannedMachine, PlannedMemory

OF_SCORING = "weights, directions and activations"


def machine_of(asked: Planned) -> PlannedMachine:
    """Its memory, and the processes that would score: this one's, or one a GPU of the name that is given."""
    config = asked.config
    if asked.gpu is not None:
        return PlannedMachine(asked.gpu.name, asked.gpu.memory, config.workers or 1, config.threads, "GPU")
    workers = min(config.workers or processes(config.threads), len(asked.shards))
    return PlannedMachine("this machine", memory(), workers, config.threads, "core")


def planned_memory(asked: Planned, machine: PlannedMachine) -> list[PlannedMemory]:
    """Peaks of the stages; of scoring on a CPU, that of all workers together, and of one on a GPU."""
    shape, on_gpu = asked.model.shape, asked.gpu is not None
    process = 0 if on_gpu else PROCESS_BYTES
    room = machine.memory - process
    largest = matrices_bytes(shape, 1)
    decomposed = max(largest, BATCH_BYTES) if on_gpu else matrices_bytes(shape, cores())
    copies, factors = (0, 0) if on_gpu else (vectors_bytes(shape), factors_bytes(shape))

    def fit(positions: int) -> Peak:
        return fit_peak(shape, positions, decomposed, copies)

    def direct(positions: int) -> Peak:
        return direct_peak(shape, positions, factors)

    first = asked.config.batch_tokens or (GPU_BATCH_TOKENS if on_gpu else CPU_BATCH_TOKENS)
    found = []
    for stage, peak in (("fit", fit), ("direct", direct)) if asked.fits else ():
        positions, held = largest_that_fits(peak, first, asked.model.context, room)
        found.append(PlannedMemory(stage, process + held.bytes, held.mostly, positions, held.bytes <= room))
    return [*found, _scoring_on_gpu(asked, room) if on_gpu else _scoring(asked, machine)]


def _scoring(asked: Planned, machine: PlannedMachine) -> PlannedMemory:
    outline, directions = asked.model.outline, len(asked.behaviours)
    positions = asked.config.batch_tokens or automatic_batch_tokens(
        outline, asked.engine, directions, processes(asked.config.threads)
    )
    at_once = min(positions, CPU_BATCH_TOKENS)
    passes = min(PASSES, max(1, positions // at_once))
    activations = at_once * bytes_per_position(outline, asked.engine, directions, passes)
    each = bytes_per_worker(outline, asked.engine, directions) - INTERPRETER_BYTES + PROCESS_BYTES + activations
    held = machine.processes * each
    return PlannedMemory("score", held, OF_SCORING, positions, held <= machine.memory)


def _scoring_on_gpu(asked: Planned, room: int) -> PlannedMemory:
    shape, directions = asked.model.shape, len(asked.behaviours)
    outline = asked.model.outline.to(getattr(torch, asked.dtype))
    weights = shape.parameters + shape.tracked * (directions + ENGINES[asked.engine].needs_step)
    a_position = bytes_per_position(outline, asked.engine, directions)
    least = max(1, asked.model.context)

    def score(positions: int) -> Peak:
        return Peak(weights * outline.dtype.itemsize + positions * a_position, OF_SCORING)

    fitting = max(least, int(SHARE_FOR_ACTIVATIONS * room) // a_position)
    first = asked.config.batch_tokens or min(GPU_BATCH_TOKENS, 1 << (fitting.bit_length() - 1))
    positions, held = largest_that_fits(score, max(first, least), least, room)
    return PlannedMemory("score", held.bytes, held.mostly, positions, held.bytes <= room)
