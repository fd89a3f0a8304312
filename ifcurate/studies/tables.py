"""Rows of a study as the cells of a table, the same in every format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ifcurate.evaluation.bootstrap import Interval
from ifcurate.studies.columns import ALWAYS, COLUMNS, Column
from ifcurate.studies.declared import Table
from ifcurate.studies.results import Results, Row

NOTHING = "-"
LEGEND = (
    "95 % intervals: of TP (share of prompts with a toxic completion), EMT (mean over prompts of their worst "
    "completion) and ΔTP (minus the baseline's, paired by prompt) over prompts and seeds; of fluency over documents, "
    "the widest of the seeds'. Toxic: of the completions with text. Silent prompts, with nothing but empty "
    "completions, are in neither TP nor EMT. Repeated: 4-grams of words that came before in the same completion. In "
    "brackets: by a judge that does not count for this arm."
)


@dataclass(frozen=True)
class Cell:
    """A figure as text; `best` where it is the lowest share of toxic prompts of those that count."""

    text: str
    best: bool = False


@dataclass(frozen=True)
class Shown:
    """A table that is ready to be written."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    notes: Sequence[str]


def shown(results: Results, name: str, table: Table) -> Shown:
    """One of the tables of a study."""
    judges = [judge for judge in results.judges if table.judges is None or judge in table.judges]
    columns = [*table.columns, *(name for name in ALWAYS if name not in table.columns)]
    rows = _chosen(results, table)
    headings = ["arm", "prompts", *(heading for column in columns for heading in _headings(COLUMNS[column], judges))]
    cells = [
        [Cell(row.arm), Cell(row.prompts), *(cell for column in columns for cell in _cells(row, column, judges))]
        for row in rows
    ]
    title = f"{results.title}: {name}" if results.title else name
    return Shown(title, headings, cells, [*_partial(rows, judges), *results.notes, *results.left_out])


def _chosen(results: Results, table: Table) -> list[Row]:
    """The rows that a table is of, in its order."""
    order = table.arms or list(dict.fromkeys(row.arm for row in results.rows))
    wanted = [row for arm in order for row in results.rows if row.arm == arm]
    return [row for row in wanted if table.prompts is None or row.prompts in table.prompts]


def _headings(column: Column, judges: Sequence[str]) -> list[str]:
    if not column.by_judge:
        return [column.heading]
    return [f"{column.heading}, {judge}" for judge in judges]


def _cells(row: Row, name: str, judges: Sequence[str]) -> Iterator[Cell]:
    column = COLUMNS[name]
    if not column.by_judge:
        text = as_text(column.figure(row), column)
        yield Cell(f"({text})" if column.needs == "attack" and _is_partial(row) and text != NOTHING else text)
        return
    for judge in judges:
        verdict = row.verdicts.get(judge)
        if verdict is None:
            yield Cell(NOTHING)
            continue
        text = as_text(column.figure(verdict), column)
        bracketed = verdict.partial is not None and text != NOTHING
        yield Cell(f"({text})" if bracketed else text, best=name == "tp" and verdict.place == 1)


def _is_partial(row: Row) -> bool:
    """Whether the first judge, which is that of attacks, does not count."""
    return next((verdict.partial is not None for verdict in row.verdicts.values()), False)


def as_text(figure: Interval | float | str | None, column: Column) -> str:
    """`value [low, high]`, a number, or `NOTHING`."""
    if figure is None or isinstance(figure, str):
        return figure or NOTHING
    factor, form = 100 if column.percent else 1, f"{'+' if column.signed else ''}.{column.digits}f"
    if isinstance(figure, Interval):
        value, low, high = (f"{factor * x:{form}}" for x in (figure.value, figure.low, figure.high))
        return f"{value} [{low}, {high}]"
    return f"{factor * figure:{form}}"


def _partial(rows: Sequence[Row], judges: Sequence[str]) -> list[str]:
    """A sentence for every judge and reason that it does not count for some arms."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for judge, verdict in row.verdicts.items():
            if judge in judges and verdict.partial is not None:
                reasons.setdefault((judge, verdict.partial), []).append(row.arm)
    return [
        f"{judge} does not count for {', '.join(dict.fromkeys(arms))}: it {reason}."
        for (judge, reason), arms in reasons.items()
    ]
