"""`ifcurate screen`: which documents are worth an exact score, learnt from those that have one."""

from __future__ import annotations

from pathlib import Path

from ifcurate.cli.declared import declared
from ifcurate.pipelines.screen_config import ScreenConfig

SHOWN = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""Shares of the text whose recall is printed."""


def screen(settings: ScreenConfig) -> None:
    """Learn from a scored run which documents of other text are worth an exact score."""
    from rich import box
    from rich.table import Table

    from ifcurate.cli.tables import plain_console
    from ifcurate.pipelines.screen import screen as run_recipe
    from ifcurate.screening.curve import recall_at
    from ifcurate.screening.kinds import SCREEN_FILE

    found = run_recipe(settings)
    learnt = found.provenance["learnt_from"]
    table = Table("share of the text scored", "selected tokens in it", box=box.SIMPLE)
    for column in table.columns:
        column.justify = "right"
    for share in SHOWN:
        table.add_row(f"{share:.0%}", f"{recall_at(found.curve, share):.1%}")
    console = plain_console()
    console.print(
        f"{settings.kind} screen of {found.provenance['behaviour']}, from {learnt['documents']:,} documents; of "
        "documents that it had not learnt from:",
        soft_wrap=True,
    )
    console.print(table)
    place = Path(settings.out)
    console.print(
        f"written: {place / SCREEN_FILE}; now give: ifcurate annotate ... --screen {place} --share 10%", soft_wrap=True
    )


command = declared(ScreenConfig, screen, arguments=["run"])
