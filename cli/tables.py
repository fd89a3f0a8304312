"""What a command did, as tables on the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from ifcurate.pipelines.annotate import Summary
    from ifcurate.pipelines.cluster import Submission
    from ifcurate.pipelines.status import StageState
    from ifcurate.selection.table import Selection

UNBOUNDED = 1000
"""Columns that no table needs: a pipe or file has no width to fit in."""


def plain_console(width: int | None = None) -> Console:
    """A console on which brackets are brackets: names and paths may have them."""
    return Console(markup=False, highlight=False, width=width)


def print_table(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table as wide as it needs where nobody looks at it, and as the terminal elsewhere."""
    table = Table(*headings, title=title, title_justify="left", box=box.SIMPLE)
    for row in rows:
        table.add_row(*row)
    console = plain_console()
    if not console.is_terminal:
        console = plain_console(plain_console(UNBOUNDED).measure(table).maximum)
    console.print(table)


def print_summary(summary: Summary) -> None:
    """Print the selection, the stages with their seconds and rates, and where the output is."""
    for selection in summary.selections:
        print_selection(selection, summary.value)
    console = plain_console()
    console.print(_stage_table(summary))
    if again := sum(stage.counts.get("context", 0) for stage in summary.stages):
        console.print(f"{again:,} tokens were read again, as context of later windows (--overlap)")
    if halvings := sum(stage.counts.get("halvings", 0) for stage in summary.stages):
        console.print(f"memory ran out {halvings} times, and batches were halved; lower --batch-tokens")
    if cut := sum(stage.counts.get("cut", 0) for stage in summary.stages):
        console.print(f"{cut:,} sentences were read to the classifier's length only")
    if summary.repeated_ids:
        console.print(f"{summary.repeated_ids:,} documents share their id with one before them; do not join by id")
    if summary.skipped:
        console.print(f"{summary.skipped:,} rows were skipped: their text is null or not UTF-8")
    if summary.limit is not None:
        console.print(f"only the first {summary.limit:,} documents were read (--limit); without it, give a new --out")
    console.print(f"annotated corpus: {summary.run.data}", soft_wrap=True)


def print_submission(submission: Submission) -> None:
    """Print the jobs of a run, and how to follow them."""
    rows = [(each.stage, f"{each.tasks:,}", each.job) for each in submission.stages]
    print_table("Submitted", ("stage", "tasks", "job"), rows)
    plain_console().print(f"follow them with: ifcurate status {submission.run.root} --watch", soft_wrap=True)


def print_status(states: Sequence[StageState]) -> None:
    """Print how far the jobs of a run are, and the last words of tasks that failed."""
    print_table(
        "Stages",
        ("stage", "tasks", "done", "running", "waiting", "failed", "tokens", "tokens/s", "left"),
        [
            (
                *(state.stage, f"{state.tasks:,}", f"{state.done:,}", f"{state.running:,}", f"{state.waiting:,}"),
                *(f"{len(state.failed):,}", f"{state.tokens:,}", f"{state.tokens_per_second:,.0f}", _minutes(state)),
            )
            for state in states
        ],
    )
    for state in states:
        for task, said in state.failed.items():
            plain_console().print(f"{state.stage}, task {task} failed: {said}", soft_wrap=True)


def _minutes(state: StageState) -> str:
    return "" if state.seconds_left is None else f"{state.seconds_left / 60:,.1f} min"


def print_selection(selection: Selection, value: str = "influence") -> None:
    """Print what was counted and selected; `value` is what a token has."""
    share = selection.tokens_selected / selection.tokens
    console = plain_console()
    console.print(
        f"{selection.documents:,} documents, {selection.tokens:,} tokens; "
        f"tau = {selection.tau:.6g}, {selection.tau_is} of {selection.behaviour} {value}",
        soft_wrap=True,
    )
    console.print(
        f"selected {selection.tokens_selected:,} tokens ({share:.2%}) in {selection.documents_selected:,} documents",
        soft_wrap=True,
    )
    if selection.shortfall_reason and selection.budget_tokens < selection.tokens:
        console.print(
            f"{selection.shortfall:,} tokens short of the budget: {selection.shortfall_reason}", soft_wrap=True
        )
    if selection.max_repetition is not None:
        console.print(
            f"{selection.documents_held_back:,} documents held back: more than {selection.max_repetition:.0%} of their "
            "4-grams repeat themselves",
            soft_wrap=True,
        )
    if selection.screened is not None:
        console.print(f"screened: {selection.screened.sentence()}", soft_wrap=True)


def _stage_table(summary: Summary) -> Table:
    table = Table("stage", "seconds", "tokens", "tokens/s", "padding", box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for stage in summary.stages:
        tokens, positions = stage.counts.get("tokens", 0), stage.counts.get("positions", 0)
        read = tokens + stage.counts.get("context", 0)
        padding = f"{1 - read / positions:.1%}" if positions else ""
        table.add_row(stage.name, f"{stage.seconds:,.1f}", f"{tokens:,}", f"{stage.rate('tokens'):,.0f}", padding)
    return table
