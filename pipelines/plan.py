"""Recipe of `ifcurate plan`: what a run would take, before anything of it runs; nothing is left on disk."""

from __future__ import annotations

from ifcurate.pipelines.plan_config import PlanConfig
from ifcurate.pipelines.planned import Planned, planned
from ifcurate.pipelines.planned_alternatives import planned_alternatives
from ifcurate.pipelines.planned_memory import machine_of, planned_memory
from ifcurate.pipelines.planned_work import Amounts, amounts_of, planned_work
from ifcurate.planning.disk import Stored, direction_bytes, factors_bytes, stored_sample
from ifcurate.planning.estimates import Interval
from ifcurate.planning.gpus import REACHED
from ifcurate.planning.result import (
    SECONDS_AN_HOUR,
    Plan,
    PlannedAlternative,
    PlannedCorpus,
    PlannedFiles,
    PlannedMachine,
    PlannedShape,
    PlannedStage,
    cost_of,
    staying,
)
from ifcurate.planning.work import StageWork

OF_THE_CORPUS = ("screen", "score", "select", "write")
"""Stages whose work is in proportion to its tokens."""
RECORD_BYTES = 24
"""Of a selection, a document: shard, row, tokens, sparsity, score and rank, compressed."""
UNFINISHED_BYTES = 16
"""A token of a shard that is being scored, kept for a run that is stopped."""


def plan(config: PlanConfig) -> Plan:
    """Sample the corpus, look at the model, and time the stages on a few windows.

    Raises:
        InputError: something given cannot be used, or is not planned.
    """
    asked = planned(config)
    machine = machine_of(asked)
    memory = planned_memory(asked, machine)
    stored = stored_sample([document.encoding for document in asked.sample.drawn], asked.stored(), config.seed)
    disk = _disk(asked, stored, machine.processes)
    work: list[StageWork] = []
    others: list[PlannedAlternative] = []
    notes = [f"no time is planned: a stage does not fit into the memory of {machine.name}"]
    if all(stage.fits for stage in memory):
        amounts = amounts_of(asked, stored)
        work = planned_work(asked, machine, memory, amounts)
        others = planned_alternatives(asked, machine, amounts, stored, work, staying(disk))
        notes = _notes_of_time(asked, amounts)
    return Plan(
        _corpus(asked),
        _shape(asked),
        machine,
        [_stage(each, asked, machine) for each in work],
        memory,
        disk,
        others,
        notes + _notes(asked),
        config.price,
    )


def _corpus(asked: Planned) -> PlannedCorpus:
    sample = asked.sample
    return PlannedCorpus(
        asked.config.corpus,
        sample.shards,
        sample.opened,
        sample.bytes,
        sample.documents,
        sample.characters,
        sample.tokens,
        sample.tokens_drawn,
    )


def _shape(asked: Planned) -> PlannedShape:
    model = asked.model
    return PlannedShape(
        model.name, model.shape.parameters, model.shape.tracked, model.context, asked.engine, asked.dtype
    )


def _stage(work: StageWork, asked: Planned, machine: PlannedMachine) -> PlannedStage:
    def over(seconds: str) -> Interval:
        """Of the stage, over the interval of the corpus's tokens where they decide it."""
        of_corpus = work.name in OF_THE_CORPUS
        tokens = asked.sample.tokens if of_corpus else Interval(work.tokens, work.tokens, work.tokens)
        ends = (getattr(work.of(count), seconds) / SECONDS_AN_HOUR for count in (tokens.value, tokens.low, tokens.high))
        return Interval(*ends)

    hours, device_hours = over("seconds"), over("device_seconds")
    cost = cost_of(machine, asked.config.price, hours.value, device_hours.value)
    return PlannedStage(work.name, work.tokens, hours, device_hours, cost, work.basis)


def _disk(asked: Planned, stored: Stored, processes: int) -> list[PlannedFiles]:
    """Every kind of file, those of a stage that is not done too."""
    sample, shape = asked.sample, asked.model.shape
    exactly = lambda size: Interval(size, size, size)  # noqa: E731
    gained = sample.tokens.times(stored.columns)
    annotated = Interval(*(sample.bytes + size for size in (gained.value, gained.low, gained.high)))
    in_work = sample.tokens.times(UNFINISHED_BYTES * min(1.0, processes / sample.shards))
    of_model = [PlannedFiles("factors", exactly(factors_bytes(shape)))] if asked.fits else []
    return [
        *of_model,
        PlannedFiles("direction", exactly(len(asked.behaviours) * direction_bytes(shape))),
        PlannedFiles("score files", sample.tokens.times(stored.scores)),
        PlannedFiles("selection", sample.documents.times(len(asked.behaviours) * RECORD_BYTES)),
        PlannedFiles("annotated corpus", annotated),
        PlannedFiles("shards being scored", in_work, stays=False),
    ]


def _notes_of_time(asked: Planned, amounts: Amounts) -> list[str]:
    notes = []
    if asked.gpu is not None:
        reached = ", ".join(f"{share:.0%} of its peak in {dtype}" for dtype, share in REACHED.items())
        notes.append(f"hours are assumed, not measured: no {asked.gpu.name} was timed, {reached} are taken; see --rate")
    queries = amounts.queries
    if asked.fits and queries.assumed:
        notes.append(f"no --queries: {len(queries.windows):,} of {queries.tokens:,} tokens are assumed")
    return notes


def _notes(asked: Planned) -> list[str]:
    notes = ["the annotated corpus is taken to compress as well as the corpus does, beside the columns it gains"]
    if not asked.model.shape.shares_inputs:
        notes.append("which layers read the same inputs is not known: each is taken to have inputs of its own")
    return notes
