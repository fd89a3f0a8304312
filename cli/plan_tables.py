"""A plan as tables on the terminal, or as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ifcurate.cli.tables import plain_console, print_table

if TYPE_CHECKING:
    from ifcurate.planning.estimates import Interval
    from ifcurate.planning.result import Plan
    from ifcurate.planning.work import Basis

UNITS = ("B", "KB", "MB", "GB", "TB", "PB")
MINUTES, SECONDS, HOURS_A_YEAR = 60, 3600, 24 * 365
LEAST_SHOWN = 0.005
"""Half of an interval, as a share."""


def print_plan(plan: Plan, as_json: bool) -> None:
    """Print a plan."""
    if as_json:
        print(json.dumps(plan.as_json(), indent=2))
        return
    _print_amounts(plan)
    _print_stages(plan)
    _print_memory(plan)
    _print_disk(plan)
    _print_alternatives(plan)
    for note in plan.notes:
        plain_console().print(f"note: {note}", soft_wrap=True)


def _print_amounts(plan: Plan) -> None:
    corpus, model = plan.corpus, plan.model
    rows = [
        ("tokens", f"{corpus.tokens.value:,.0f}", f"{corpus.tokens.low:,.0f} to {corpus.tokens.high:,.0f}"),
        ("documents", f"{corpus.documents.value:,.0f}", f"{corpus.documents.low:,.0f} to {corpus.documents.high:,.0f}"),
        ("shards", f"{corpus.shards:,}", f"{corpus.opened:,} opened, {corpus.tokenized:,} tokens read"),
        ("model", f"{model.parameters:,}", f"parameters, of which influence is over {model.tracked:,}"),
        ("scoring", model.engine, f"in {model.dtype}, windows of {model.context:,} tokens"),
    ]
    print_table("Corpus and model", ("", "", "95 % interval, or of what"), rows)


def _print_stages(plan: Plan) -> None:
    if not plan.stages:
        return
    unit = f"{plan.machine.unit}-hours"
    headings = ["stage", "tokens", "time", unit, *(["cost"] if plan.price else []), ""]
    rows = []
    for stage in plan.stages:
        cost = [] if stage.cost is None else [f"{stage.cost:,.2f}"]
        hours = f"{stage.device_hours.value:,.3g}"
        rows.append((stage.name, f"{stage.tokens:,.0f}", with_half(stage.hours), hours, *cost, stage.basis))
    cost = [] if plan.cost is None else [f"{plan.cost:,.2f}"]
    total = [stage.hours for stage in plan.stages]
    whole = type(total[0])(*(sum(getattr(each, end) for each in total) for end in ("value", "low", "high")))
    rows.append(("all", "", with_half(whole), f"{plan.device_hours:,.3g}", *cost, _if_assumed(plan.basis)))
    machine = plan.machine
    where = f"{machine.name}, {machine.processes} to score, of {machine.threads} threads each"
    print_table(f"Time on {where}", headings, rows)


def _print_memory(plan: Plan) -> None:
    rows = [
        (
            stage.stage,
            size(stage.bytes),
            "yes" if stage.fits else "NO",
            f"{stage.mostly}; batches of {stage.positions:,} positions",
        )
        for stage in plan.memory
    ]
    print_table(f"Memory, of {size(plan.machine.memory)}", ("stage", "peak", "fits", "mostly"), rows)


def _print_disk(plan: Plan) -> None:
    rows = [
        (files.what, size(files.bytes.value), f"{size(files.bytes.low)} to {size(files.bytes.high)}")
        if files.bytes.low != files.bytes.high
        else (files.what, size(files.bytes.value), "")
        for files in plan.disk
    ]
    print_table("Disk", ("files", "bytes", "95 % interval"), [*rows, ("stays", size(plan.stored), "")])


def _print_alternatives(plan: Plan) -> None:
    if not plan.alternatives:
        return
    headings = ["instead", "time", f"{plan.machine.unit}-hours", *(["cost"] if plan.price else []), "disk", "", "by"]
    rows = []
    for each in plan.alternatives:
        cost = [] if each.cost is None else [f"{each.cost:,.2f}"]
        hours = duration(each.hours)
        rows.append(
            (
                each.what,
                hours,
                f"{each.device_hours:,.3g}",
                *cost,
                size(each.bytes),
                _if_assumed(each.basis),
                each.because,
            )
        )
    print_table("What another choice would make of it", headings, rows)


def _if_assumed(basis: Basis) -> str:
    return basis if basis == "assumed, not measured" else ""


def with_half(hours: Interval) -> str:
    """A duration, with half of its interval where it has one."""
    half = f" ± {hours.half:.0%}" if hours.half >= LEAST_SHOWN else ""
    return f"{duration(hours.value)}{half}"


def duration(hours: float) -> str:
    """In the unit that suits."""
    for unit, factor in (("years", 1 / HOURS_A_YEAR), ("days", 1 / 24), ("h", 1.0), ("min", MINUTES)):
        if hours * factor >= (3 if unit == "days" else 1):
            return f"{hours * factor:,.1f} {unit}"
    return f"{hours * SECONDS:,.1f} s"


def size(count: float) -> str:
    """Bytes in powers of a thousand."""
    unit = 0
    while count >= 1000 and unit < len(UNITS) - 1:
        count, unit = count / 1000, unit + 1
    return f"{count:,.3g} {UNITS[unit]}" if unit else f"{count:,.0f} B"
