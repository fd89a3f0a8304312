"""`ifcurate study`: the comparisons of a paper, from one file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ifcurate.cli.declared import declared
from ifcurate.errors import InputError
from ifcurate.pipelines.study_config import StudyConfig

if TYPE_CHECKING:
    from ifcurate.pipelines.study import StudySummary
    from ifcurate.pipelines.study_outlook import Outlook, Prospect


def study(settings: StudyConfig) -> None:
    """Annotate, train, decode and judge whatever a study compares, each piece once, and print its tables."""
    from ifcurate.pipelines.study import open_study
    from ifcurate.pipelines.study import study as run

    if settings.dry_run:
        from ifcurate.pipelines.study_outlook import outlook

        _print_outlook(outlook(open_study(settings)))
        return
    summary = run(settings)
    _print(summary)
    if summary.failed:
        raise InputError(
            f"could not be made: {len(summary.failed)} (see above); the tables are of what is there, and the same "
            f"command tries again: {summary.failed[0]}"
        )


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


def _print_outlook(found: Outlook) -> None:
    """Every piece in order, what is missing, what was not looked at, and what all will take."""
    from ifcurate.cli.tables import plain_console, print_table
    from ifcurate.studies.costs import left

    rows = [(each.piece.title, ", ".join(each.arms), *_state(each)) for each in found.prospects]
    print_table("Pieces", ("piece", "of arms", "time", "known from"), rows)
    console = plain_console()
    for said in found.looked.sentences:
        console.print(f"missing: {said}", soft_wrap=True)
    for name in found.looked.unseen:
        console.print(f"not looked at, as it is not on this machine: {name}", soft_wrap=True)
    done = sum(each.record is not None for each in found.prospects)
    console.print(f"{len(found.prospects)} pieces, {done} are done; {left(found.estimates)}", soft_wrap=True)


def _state(prospect: Prospect) -> tuple[str, str]:
    from ifcurate.studies.costs import duration

    if prospect.record is not None:
        return duration(prospect.record.seconds), "done"
    if prospect.estimate is None or prospect.estimate.seconds is None:
        return "unknown", ""
    return duration(prospect.estimate.seconds), prospect.estimate.basis


command = declared(StudyConfig, study, arguments=["study"])
