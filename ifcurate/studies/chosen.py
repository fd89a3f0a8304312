"""The pieces that some of a study's tables show, where not all of them are to be made."""

from __future__ import annotations

from collections.abc import Sequence

from ifcurate.studies.columns import COLUMNS
from ifcurate.studies.declared import Study, Table
from ifcurate.studies.layout import Layout
from ifcurate.studies.pieces import Piece


def chosen_pieces(study: Study, layout: Layout, names: Sequence[str]) -> list[Piece]:
    """Those of the arms in the tables called `names`, and of the baseline, in the order of making; all without names.

    Attacks and recognition are among them where one of these tables shows them.
    """
    if not names:
        return layout.pieces
    apart = [each for each in (layout.shared_prompts, *layout.judges.values()) if each is not None]
    wanted = {piece.key for each in apart for piece in [*each.all_needed(), each]}
    for name, seeds in layout.arms.items():
        tables = [study.tables[table] for table in names if _shows(study.tables[table], name)]
        if not tables and name != study.baseline:
            continue
        extras = {COLUMNS[column].needs for table in tables for column in table.columns}
        for arm in seeds:
            measured = [*arm.rows_of, *(piece for extra, piece in arm.extras.items() if extra in extras)]
            wanted |= {piece.key for each in measured for piece in [*each.all_needed(), each]}
    return [piece for piece in layout.pieces if piece.key in wanted]


def _shows(table: Table, arm: str) -> bool:
    return table.arms is None or arm in table.arms
