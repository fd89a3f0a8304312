"""What each stage takes: on this machine as a rehearsal says, on a GPU by name as its data sheet does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ifcurate.influence.engines import ENGINES
from ifcurate.machine import cores
from ifcurate.model.checkpoints import load_causal_lm
from ifcurate.model.windows import Window
from ifcurate.pipelines.given_rates import parsed
from ifcurate.pipelines.planned import Planned
from ifcurate.pipelines.planned_model import PlannedQueries, planned_queries, scored_windows
from ifcurate.pipelines.planned_screen import screened_work
from ifcurate.pipelines.rehearsal import Material, Rehearsed, rehearse
from ifcurate.planning.disk import Stored, factors_bytes
from ifcurate.planning.durations import Took, clocked
from ifcurate.planning.gpus import Gpu
from ifcurate.planning.operations import Operations
from ifcurate.planning.result import PlannedMachine, PlannedMemory
from ifcurate.planning.work import Basis, StageWork

SCORED_TOKENS = 1 << 17
"""Of the corpus sample's windows, from which those to be timed are taken."""
SELECT_CPU = 90e-9
"""CPU seconds a token of `select`, on an AMD EPYC (Zen 4), of ten million tokens; of a billion it is 50e-9."""
WRITE_CPU = 0.7e-6
"""CPU seconds a token of `write`, on an AMD EPYC (Zen 3); on a Zen 4 it was 0.3e-6."""
SELECT_START, WRITE_START = 0.2, 0.3
"""CPU seconds of their databases and of the report."""
STORED_A_SECOND = 1e9
"""Bytes of weights and factors that are read or written, and hashed, beside a GPU: assumed."""
COMPILING = 180.0
"""Seconds in which every worker compiles a model: assumed, where its engine does."""


@dataclass(frozen=True)
class Amounts:
    """How much there is of what the stages work on.

    Attributes:
        sample: windows that the curvature is fitted on.
        fit_tokens: of these; 0 where nothing is fitted.
        queries: those that are given, or assumed.
        tokens: of the corpus.
        windows: of documents of the corpus, each equally likely.
        sampling: what drawing the sample took.
        a_token: what tokenizing and writing score files take a token.
    """

    sample: list[Window]
    fit_tokens: int
    queries: PlannedQueries
    tokens: float
    windows: list[Window]
    sampling: Took
    a_token: Took

    @property
    def length(self) -> float:
        """Of the window that a token is in, on average over tokens."""
        return sum(len(window) ** 2 for window in self.windows) / sum(map(len, self.windows))


def amounts_of(asked: Planned, stored: Stored) -> Amounts:
    """Draw the sample of the fit, and read the queries.

    Raises:
        InputError: the queries cannot be used.
    """
    config, model, sample = asked.config, asked.model, asked.sample
    fitted, sampling = clocked(asked.fit_sample)
    queries = planned_queries(config, model, config.overlap, config.seed, fitted.windows)
    a_token = (sample.tokenizing + stored.writing).times(1 / sample.tokens_drawn)
    windows = scored_windows(sample, model.context, config.overlap, SCORED_TOKENS)
    return Amounts(fitted.windows, fitted.tokens, queries, sample.tokens.value, windows, sampling, a_token)


def planned_work(
    asked: Planned, machine: PlannedMachine, held: Sequence[PlannedMemory], amounts: Amounts
) -> list[StageWork]:
    """All stages in their order, those at the rates that are given too.

    Raises:
        InputError: the model or a screen cannot be used.
    """
    if asked.gpu is not None:
        stages = _assumed(asked, asked.gpu, machine, amounts)
    else:
        stages = _measured(asked, machine, amounts, _rehearsed(asked, held, amounts))
    stages = [stage for stage in stages if asked.fits or stage.name not in ("fit", "direct")]
    stages = screened_work(asked.config, stages) + _later(amounts, machine)
    given = parsed(asked.config.rate)
    return [stage.at_rate(given[stage.name]) if stage.name in given else stage for stage in stages]


@dataclass(frozen=True)
class _Timed:
    """What was rehearsed, and what reading the model took."""

    parts: Rehearsed
    reading: Took


def _rehearsed(asked: Planned, held: Sequence[PlannedMemory], amounts: Amounts) -> _Timed:
    config, model = asked.config, asked.model
    given = model.name, config.revision
    loaded, reading = clocked(
        lambda: load_causal_lm(*given, device=asked.device, trust=config.trust, stored=config.stored)
    )
    batches = {stage.stage: stage.positions for stage in held}
    material = Material(
        loaded,
        model.tokenizer,
        model.shape,
        amounts.sample,
        amounts.queries.windows,
        amounts.windows,
        asked.engine,
        len(asked.behaviours),
        (batches.get("fit", batches["score"]), batches["score"]),
        (cores(), config.threads),
        config.seed,
    )
    return _Timed(rehearse(material), reading)


def _measured(asked: Planned, machine: PlannedMachine, amounts: Amounts, timed: _Timed) -> list[StageWork]:
    """A model is read by every stage, and twice where it is looked at first."""
    parts, reading = timed.parts, timed.reading
    storing = parts.storing.times(factors_bytes(asked.model.shape))
    loading = reading + parts.hashing
    decomposing = Took(parts.decompositions.seconds / cores(), parts.decompositions.cpu)
    fit = reading.times(2) + amounts.sampling + decomposing + storing
    direct = loading + storing + parts.solving
    score = loading.times(2) + amounts.sampling + parts.calibrating
    passes = (parts.covariances + parts.eigenvalues).times(1 / sum(map(len, amounts.sample)))
    query = parts.queries.times(1 / amounts.queries.tokens)
    here: Basis = "measured here"
    return [
        StageWork("fit", amounts.fit_tokens, fit, passes, 1, here),
        StageWork("direct", amounts.queries.tokens, direct, query, 1, here),
        StageWork("score", amounts.tokens, score, parts.score, machine.processes, here, amounts.a_token),
    ]


def _assumed(asked: Planned, gpu: Gpu, machine: PlannedMachine, amounts: Amounts) -> list[StageWork]:
    """Operations counted from shapes, at rates from a data sheet; tokenizing and writing are this machine's."""
    shape = asked.model.shape
    basis: Basis = "assumed, not measured"
    count = Operations(shape, amounts.length)

    def took(multiplications: float, dtype: str = "float32") -> Took:
        seconds = gpu.seconds(multiplications, dtype)
        return Took(seconds, seconds)

    def moved(size: float) -> Took:
        return Took(size / STORED_A_SECOND, size / STORED_A_SECOND)

    reading, factors = moved(4 * shape.parameters), moved(factors_bytes(shape))
    fit = reading.times(2) + took(count.decompositions(), "float64") + factors
    direct = reading.times(2) + factors + took(count.inverse())
    compiling = COMPILING if ENGINES[asked.engine].packs_rows else 0.0
    scoring = reading.times(4) + Took(compiling, compiling)
    score = took(count.score(asked.engine, len(asked.behaviours)), asked.dtype)
    besides = Took(amounts.a_token.cpu, amounts.a_token.cpu)
    return [
        StageWork("fit", amounts.fit_tokens, fit, took(count.fit()), 1, basis),
        StageWork("direct", amounts.queries.tokens, direct, took(count.query()), 1, basis),
        StageWork("score", amounts.tokens, scoring, score, machine.processes, basis, besides),
    ]


def _later(amounts: Amounts, machine: PlannedMachine) -> list[StageWork]:
    """The stages without a model, by rates of `docs/scale.md`."""
    stages = []
    for name, each, start, processes in (
        ("select", SELECT_CPU, SELECT_START, 1),
        ("write", WRITE_CPU, WRITE_START, machine.processes),
    ):
        work = StageWork(name, amounts.tokens, Took(start, start), Took(), processes, "measured elsewhere")
        stages.append(replace(work, besides=Took(each, each)))
    return stages
