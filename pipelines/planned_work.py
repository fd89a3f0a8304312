"""From what was rehearsed to what each stage takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ifcurate.machine import cores
from ifcurate.model.checkpoints import load_causal_lm
from ifcurate.pipelines.planned import Planned
from ifcurate.pipelines.planned_model import planned_queries, scored_windows
from ifcurate.pipelines.rehearsal import Material, Rehearsed, rehearse
from ifcurate.planning.disk import Stored, factors_bytes
from ifcurate.planning.durations import Took, clocked
from ifcurate.planning.result import PlannedMachine, PlannedMemory
from ifcurate.planning.work import StageWork

SCORED_TOKENS = 1 << 17
"""Of the corpus sample's windows, from which those to be timed are taken."""

SELECT_CPU = 90e-9
"""CPU seconds a token of `select`, on an AMD EPYC (Zen 4), of ten million tokens; of a billion it is 60e-9."""
WRITE_CPU = 0.7e-6
"""CPU seconds a token of `write`, on an AMD EPYC (Zen 3)."""
SELECT_START, WRITE_START = 1.0, 2.0
"""CPU seconds of their databases and of the report."""


@dataclass(frozen=True)
class Amounts:
    """How much there is of what the stages work on.

    Attributes:
        fit_tokens: of the sample that the curvature is fitted on; 0 where nothing is fitted.
        query_tokens: of the queries; 0 where there are none.
        tokens: of the corpus.
        factors: bytes of the factors.
        fit_threads: of fitting.
        processes: that score, and that write.
    """

    fit_tokens: int
    query_tokens: int
    tokens: float
    factors: int
    fit_threads: int
    processes: int


def rehearsed_work(
    asked: Planned, machine: PlannedMachine, held: Sequence[PlannedMemory], stored: Stored
) -> tuple[list[StageWork], list[str]]:
    """The stages on this machine, and what was assumed: a sample is drawn, the model read, and all of it timed.

    Raises:
        InputError: the model or the queries cannot be used.
    """
    config, model = asked.config, asked.model
    fitted, sampling = clocked(asked.fit_sample)
    queries = planned_queries(config, model, config.overlap, config.seed, fitted.windows)
    given = config.model, config.revision
    loaded, reading = clocked(
        lambda: load_causal_lm(*given, device=asked.device, trust=config.trust, stored=config.stored)
    )
    batches = {stage.stage: stage.positions for stage in held}
    timed = rehearse(
        Material(
            loaded,
            model.tokenizer,
            model.shape,
            fitted.windows,
            queries.windows,
            scored_windows(asked.sample, model.context, config.overlap, SCORED_TOKENS),
            asked.engine,
            len(asked.behaviours),
            (batches.get("fit", batches["score"]), batches["score"]),
            (cores(), config.threads),
            config.seed,
        )
    )
    amounts = Amounts(
        fitted.tokens if asked.fits else 0,
        queries.tokens if asked.fits else 0,
        asked.sample.tokens.value,
        factors_bytes(model.shape),
        cores(),
        machine.processes,
    )
    a_token = (asked.sample.tokenizing + stored.writing).times(1 / asked.sample.tokens_drawn)
    assumed = f"no --queries: {len(queries.windows):,} of {queries.tokens:,} tokens are assumed"
    notes = [assumed] if asked.fits and queries.assumed else []
    return measured_work(amounts, timed, reading, sampling, a_token), notes


def measured_work(amounts: Amounts, timed: Rehearsed, reading: Took, sampling: Took, a_token: Took) -> list[StageWork]:
    """The stages on this machine.

    Args:
        amounts: of everything.
        timed: what was rehearsed.
        reading: the model, once.
        sampling: the windows of a sample.
        a_token: of tokenizing and of writing score files.
    """
    storing = timed.storing.times(amounts.factors)
    loading = reading + timed.hashing
    decompositions = Took(timed.decompositions.seconds / amounts.fit_threads, timed.decompositions.cpu)
    stages = []
    if amounts.fit_tokens:
        start = reading.times(2) + sampling + decompositions + storing
        each = timed.covariances + timed.eigenvalues
        stages.append(StageWork("fit", amounts.fit_tokens, start, each, 1, "measured here"))
        start = loading + storing + timed.solving
        stages.append(StageWork("direct", amounts.query_tokens, start, timed.query, 1, "measured here"))
    start = loading.times(2) + sampling + timed.calibrating
    each = timed.score + a_token
    stages.append(StageWork("score", amounts.tokens, start, each, amounts.processes, "measured here"))
    return stages + later_work(amounts)


def later_work(amounts: Amounts) -> list[StageWork]:
    """The stages without a model, by rates of `docs/scale.md`."""
    select, write = Took(SELECT_CPU, SELECT_CPU), Took(WRITE_CPU, WRITE_CPU)
    return [
        StageWork("select", amounts.tokens, Took(SELECT_START, SELECT_START), select, 1, "measured elsewhere"),
        StageWork(
            "write", amounts.tokens, Took(WRITE_START, WRITE_START), write, amounts.processes, "measured elsewhere"
        ),
    ]
