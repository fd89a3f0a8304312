"""Which arm is how good by a judge: only arms that the judge counts for are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ifcurate.studies.results import Row


def placed(rows: Sequence[Row]) -> list[Row]:
    """`rows` with places by every judge on every set of prompts; equal shares of toxic prompts have equal places."""
    ranked = list(rows)
    for prompts in dict.fromkeys(row.prompts for row in rows):
        for judge in dict.fromkeys(name for row in rows for name in row.verdicts):
            shares = sorted(
                verdict.tp.value
                for row in rows
                if row.prompts == prompts and (verdict := row.verdicts.get(judge)) and verdict.partial is None
            )
            ranked = [_placed(row, judge, shares) if row.prompts == prompts else row for row in ranked]
    return ranked


def _placed(row: Row, judge: str, shares: Sequence[float]) -> Row:
    verdict = row.verdicts.get(judge)
    if verdict is None or verdict.partial is not None:
        return row
    place = shares.index(verdict.tp.value) + 1
    return replace(row, verdicts={**row.verdicts, judge: replace(verdict, place=place)})
