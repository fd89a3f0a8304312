"""What another choice would change: hours by operations counted or by what is measured elsewhere, bytes by writing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ifcurate.influence.engines import ENGINES
from ifcurate.influence.precision import SIGNIFICANT_BITS
from ifcurate.pipelines.planned import Planned
from ifcurate.pipelines.planned_model import PlannedModel, planned_model
from ifcurate.pipelines.planned_screen import SCREENED_A_SECOND, with_screen
from ifcurate.pipelines.planned_work import Amounts
from ifcurate.planning.disk import Stored, direction_bytes, factors_bytes, stored_sample
from ifcurate.planning.operations import Operations
from ifcurate.planning.result import SECONDS_AN_HOUR, PlannedAlternative, PlannedMachine, cost_of
from ifcurate.planning.work import StageWork, least_sure

FIT_TOKENS = {8_192: "0.93", 16_384: "0.97", 32_768: "0.98", 65_536: "0.99"}
"""Rank correlation of scores with those from 131,072 tokens, of the 7 M model (`docs/benchmarks.md`)."""
SCREENED, AUDITED, FOUND = 0.1, 0.01, "96 %"
"""A screen's share, the audit's of the rest, and what it found of the selected tokens (`docs/benchmarks.md`)."""
STUDENT, STUDENT_FOUND = 0.17, "45 %"
"""Of the cost of exact scores, for half of a model's blocks, and the overlap of the top 2 % (`docs/benchmarks.md`)."""

Stages = Sequence[StageWork]
Made = Callable[[str, Stages, float, str], PlannedAlternative]


def planned_alternatives(
    asked: Planned, machine: PlannedMachine, amounts: Amounts, stored: Stored, stages: Stages, size: float
) -> list[PlannedAlternative]:
    """One row a choice; `size` is that of the files as they are planned.

    Raises:
        InputError: the proxy cannot be used.
    """

    def alternative(what: str, changed: Stages, more: float, because: str) -> PlannedAlternative:
        hours = sum(stage.seconds for stage in changed) / SECONDS_AN_HOUR
        device_hours = sum(stage.device_seconds for stage in changed) / SECONDS_AN_HOUR
        basis = least_sure(stage.basis for stage in changed)
        cost = cost_of(machine, asked.config.price, hours, device_hours)
        return PlannedAlternative(what, hours, device_hours, cost, size + more, basis, because)

    found = [] if not asked.fits else _other_fits(asked, stages, alternative)
    found += _other_engines(asked, amounts, stages, alternative)
    if asked.config.proxy is not None:
        proxy = planned_model(asked.config.model_copy(update={"model": asked.config.proxy}))
        found.append(_proxy(asked, proxy, amounts, stages, alternative))
    if asked.config.screen is None:
        screened = with_screen(stages, SCREENED, AUDITED, SCREENED_A_SECOND["ngrams"])
        because = f"measured elsewhere: found {FOUND} of what was selected; it is learnt from scored shards first"
        found.append(alternative("--screen, --share 10%", screened, 0, because))
    because = f"measured elsewhere: its top 2 % had {STUDENT_FOUND} of the exact one; it is learnt first"
    found.append(alternative("--student, of half the blocks", _with_model(stages, STUDENT), 0, because))
    return [*found, *_other_precisions(asked, amounts, stored, stages, alternative)]


def _with_model(stages: Stages, factor: float) -> list[StageWork]:
    return [stage.with_model(factor) if stage.name == "score" else stage for stage in stages]


def _other_fits(asked: Planned, stages: Stages, alternative: Made) -> list[PlannedAlternative]:
    found = []
    for tokens, correlation in FIT_TOKENS.items():
        if tokens == asked.config.fit_tokens:
            continue
        changed = [stage.of(tokens) if stage.name == "fit" else stage for stage in stages]
        because = f"linear in tokens; a 7 M model's scores had rank correlation {correlation} with those from 131,072"
        found.append(alternative(f"--fit-tokens {tokens}", changed, 0, because))
    return found


def _other_engines(asked: Planned, amounts: Amounts, stages: Stages, alternative: Made) -> list[PlannedAlternative]:
    """Those of the same alignment that this dtype allows."""
    count, directions = Operations(asked.model.shape, amounts.length), len(asked.behaviours)
    now = count.score(asked.engine, directions)
    found = []
    for name, spec in ENGINES.items():
        other_dtype = spec.only_float32 and asked.dtype != "float32"
        for_gpu = spec.packs_rows and not asked.device.startswith("cuda")
        same = name == asked.engine or spec.alignment != ENGINES[asked.engine].alignment
        if same or spec.needs_student or other_dtype or for_gpu:
            continue
        ratio = count.score(name, directions) / now
        if ratio == 1:
            continue  # nothing that counting tells
        changed = _with_model(stages, ratio)
        found.append(alternative(f"--engine {name}", changed, 0, "operations counted, not timed"))
    return found


def _proxy(
    asked: Planned, proxy: PlannedModel, amounts: Amounts, stages: Stages, alternative: Made
) -> PlannedAlternative:
    """Fit, direction and scores of a smaller model in place of this one's."""
    own, other = asked.model.shape, proxy.shape
    counts = [Operations(shape, min(amounts.length, proxy.context)) for shape in (own, other)]
    directions = len(asked.behaviours)
    factors = {
        "fit": counts[1].fit() / counts[0].fit(),
        "direct": counts[1].query() / counts[0].query(),
        "score": counts[1].score(asked.engine, directions) / counts[0].score(asked.engine, directions),
    }
    starts = {
        "fit": counts[1].decompositions() / counts[0].decompositions(),
        "direct": factors_bytes(other) / factors_bytes(own),
        "score": other.parameters / own.parameters,
    }
    changed = [
        replace(stage.with_model(factors[stage.name]), start=stage.start.times(starts[stage.name]))
        if stage.name in factors
        else stage
        for stage in stages
    ]
    fewer = direction_bytes(other) - direction_bytes(own) + asked.fits * (factors_bytes(other) - factors_bytes(own))
    because = "operations counted, on as many tokens; how near its scores come is not known"
    return alternative(f"--model {proxy.name}, a proxy", changed, fewer, because)


def _other_precisions(
    asked: Planned, amounts: Amounts, stored: Stored, stages: Stages, alternative: Made
) -> list[PlannedAlternative]:
    encodings = [document.encoding for document in asked.sample.drawn]
    found = []
    for precision, bits in SIGNIFICANT_BITS.items():
        if precision != asked.config.precision:
            other = stored_sample(encodings, replace(asked.stored(), precision=precision), asked.config.seed)
            more = amounts.tokens * (other.scores + other.columns - stored.scores - stored.columns)
            found.append(
                alternative(f"--precision {precision}", stages, more, f"a sample written; {bits} significant bits")
            )
    return found
