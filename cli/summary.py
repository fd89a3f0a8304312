"""What a run did, as a table on the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from ifcurate.pipelines.annotate import Summary
from ifcurate.selection.table import Selection


def print_summary(summary: Summary) -> None:
    """Print the selection, the stages with their seconds and rates, and where the output is."""
    for selection in summary.selections:
        print_selection(selection)
    console = Console()
    console.print(_stage_table(summary))
    if halvings := sum(stage.counts.get("halvings", 0) for stage in summary.stages):
        console.print(f"memory ran out {halvings} times, and batches were halved; lower --batch-tokens")
    console.print(f"annotated corpus: [bold]{summary.run.data}[/]", soft_wrap=True)


def print_selection(selection: Selection) -> None:
    """Print what was counted and selected."""
    share = selection.tokens_selected / selection.tokens
    console = Console()
    console.print(
        f"{selection.documents:,} documents, {selection.tokens:,} tokens; "
        f"tau = {selection.tau:.6g}, the {selection.quantile:g} quantile of {selection.behaviour} influence"
    )
    console.print(
        f"selected {selection.tokens_selected:,} tokens ({share:.2%}) in {selection.documents_selected:,} documents"
    )
    if selection.shortfall_reason:
        console.print(f"{selection.shortfall:,} tokens short of the budget: {selection.shortfall_reason}")


def _stage_table(summary: Summary) -> Table:
    table = Table("stage", "seconds", "tokens", "tokens/s", "padding", box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for stage in summary.stages:
        tokens, positions = stage.counts.get("tokens", 0), stage.counts.get("positions", 0)
        padding = f"{1 - tokens / positions:.1%}" if positions else ""
        table.add_row(stage.name, f"{stage.seconds:,.1f}", f"{tokens:,}", f"{stage.rate('tokens'):,.0f}", padding)
    return table
