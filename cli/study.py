"""`ifcurate study`: the comparisons of a paper, from one file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ifcurate.cli.declared import declared
from ifcurate.pipelines.study_config import StudyConfig

if TYPE_CHECKING:
    from ifcurate.pipelines.study import StudySummary


def study(settings: StudyConfig) -> None:
    """Annotate, train, decode and judge whatever a study compares, each piece once, and print its tables."""
    from ifcurate.pipelines.study import study as run

    _print(run(settings))


def _print(summary: StudySummary) -> None:
    """The tables, what was made and how long it took, and where it is."""
    from ifcurate.cli.tables import plain_console, print_table
    from ifcurate.studies.tables import LEGEND

    console = plain_console()
    for table in summary.tables:
        print_table(table.title, table.headings, [[cell.text for cell in row] for row in table.rows])
        for note in table.notes:
            console.print(note, soft_wrap=True)
    console.print(LEGEND, soft_wrap=True)
    for made in summary.made:
        console.print(f"made: {made.piece.title}, {made.seconds:,.1f} s", soft_wrap=True)
    console.print(
        f"{len(summary.made)} pieces made, {summary.there} were there; {summary.seconds:,.0f} s", soft_wrap=True
    )
    console.print("written: " + ", ".join(map(str, summary.files)), soft_wrap=True)


command = declared(StudyConfig, study, arguments=["study"])
