"""`ifcurate queries`: two query sets from any table of prompts and continuations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ifcurate.cli.declared import declared
from ifcurate.evaluation.config import MiningConfig

if TYPE_CHECKING:
    from ifcurate.evaluation.query_mining import Mined


def queries(settings: MiningConfig) -> None:
    """Build query sets: continuations that show the behaviour, and their contrast."""
    from ifcurate.pipelines.queries import build_queries

    _print(*build_queries(settings))


def _print(mined: Mined, written: list[Path]) -> None:
    from rich import box
    from rich.table import Table

    from ifcurate.cli.tables import plain_console

    table = Table("rows", f"{mined.rows:,}", box=box.SIMPLE)
    table.columns[1].justify = "right"
    for what, count in sorted(mined.counts.items(), key=lambda item: -item[1]):
        table.add_row(what, f"{count:,}")
    console = plain_console()
    console.print(table)
    if mined.spaces_added:
        console.print(f"{mined.spaces_added:,} queries got a space between prompt and continuation")
    if mined.texts_cut:
        console.print(f"{mined.texts_cut:,} continuations were classified by their beginning only")
    console.print(f"written: {', '.join(map(str, written))}", soft_wrap=True)


command = declared(MiningConfig, queries, arguments=["source"])
