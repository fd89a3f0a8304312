"""`ifcurate overlap`: whether annotations of one corpus mark the same text."""

from __future__ import annotations

from ifcurate.cli.declared import declared
from ifcurate.pipelines.overlap_config import OverlapConfig


def overlap(settings: OverlapConfig) -> None:
    """Count the characters that annotations of one corpus mark alike, whichever models made them."""
    from ifcurate.cli.tables import print_table
    from ifcurate.pipelines.overlap import overlaps

    pairs = overlaps(settings)
    headings = ("first", "second", "marked by the first", "by the second", "by both", "of the smaller", "by chance")
    rows = [
        (
            *(pair.first, pair.second, f"{found.first:,}", f"{found.second:,}", f"{found.common:,}"),
            f"{found.share.value:.1%} [{found.share.low:.1%}, {found.share.high:.1%}]",
            f"{found.chance:.1%}",
        )
        for pair in pairs
        for found in (pair.overlap,)
    ]
    print_table(f"Characters marked, of {pairs[0].overlap.characters:,} that are no white space", headings, rows)
    if settings.out is not None:
        print(f"written: {settings.out}")


command = declared(OverlapConfig, overlap, arguments=["runs"])
