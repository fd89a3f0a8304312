"""The part of a scored document that is shown: its tokens, and what each choice would take of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ifcurate.report.choices import PlacedRecord
from ifcurate.report.visible import visible
from ifcurate.selection.highest import mask_highest
from ifcurate.selection.records import Records, cut_records, neighbour_borders, reachable
from ifcurate.selection.scores import ScoredTokens
from ifcurate.selection.settings import SelectionSettings
from ifcurate.selection.spans import Ints, Mask

MOST_TOKENS = 300
"""Of a document shown; the report says how many are left out on both sides."""
NOT_IN_REACH, IN_REACH, MAY_END = ".", "-", "|"
"""A token that no budget takes; one that a large enough budget takes; one behind which, besides, a budget may end."""


@dataclass(frozen=True)
class ShownTokens:
    """A document that is shown.

    Attributes:
        text: all of it.
        scored: all of its tokens, one document.
        losses: of each token; None where they were not stored.
    """

    text: str
    scored: ScoredTokens
    losses: NDArray[np.float32] | None


def describe_tokens(
    document: ShownTokens,
    settings: SelectionSettings,
    taus: Sequence[np.float32],
    own: int,
    placed: Sequence[Mapping[int, PlacedRecord]],
) -> dict[str, Any]:
    """What the page needs to draw the tokens, and to mark what any of the choices takes.

    Args:
        document: the one described.
        settings: of the run's selection.
        taus: the thresholds.
        own: the number of the run's own one, whose densest part is shown of a long document.
        placed: for each threshold, the document's records that have a token to give up, by window.
    """
    scored = document.scored
    records = cut_records(scored.tokens, settings.record_length)
    reaches = [_reach(scored, records, tau, settings, places) for tau, places in zip(taus, placed, strict=True)]
    first, last = _densest(reaches[own], records)
    return {
        "before": first,
        "after": len(scored.influence) - last,
        "pieces": _pieces(document.text, scored, records, first, last),
        "influence": [_short(value) for value in scored.influence[first:last]],
        "loss": None if document.losses is None else [_short(value) for value in document.losses[first:last]],
        "takes": [
            _takes(scored, records, reach, tau, settings)[first:last] for reach, tau in zip(reaches, taus, strict=True)
        ],
        "records": _described_records(records, reaches, placed, first, last),
    }


def _reach(
    scored: ScoredTokens,
    records: Records,
    tau: np.float32,
    settings: SelectionSettings,
    places: Mapping[int, PlacedRecord],
) -> Mask:
    """What a document gives up without a budget; of the highest tokens, which are chosen by it, what was selected."""
    if settings.rank_by != "token":
        return reachable(scored, records, tau, settings.neighbours)
    return mask_highest(scored, records, tau, np.array([sum(place.reach for place in places.values())]))


def _densest(reach: Mask, records: Records) -> tuple[int, int]:
    """Where the `MOST_TOKENS` tokens begin and end that hold most of the reach; groups stay whole."""
    if len(reach) <= MOST_TOKENS:
        return 0, len(reach)
    so_far = np.append(0, np.cumsum(reach))
    first = int(np.argmax(so_far[MOST_TOKENS:] - so_far[:-MOST_TOKENS]))
    groups = records.groups
    return int(np.searchsorted(groups, groups[first])), int(
        np.searchsorted(groups, groups[first + MOST_TOKENS - 1], side="right")
    )


def _pieces(text: str, scored: ScoredTokens, records: Records, first: int, last: int) -> list[str | list[Any]]:
    """The tokens that share characters as one piece: its text; or a list of the characters between it and the one
    before, its text, and its number of tokens, where there are such characters or several tokens."""
    columns = (records.groups, scored.tokens.starts, scored.tokens.ends)
    tokens = zip(*(column[first:last].tolist() for column in columns), strict=True)
    pieces: list[str | list[Any]] = []
    reached = int(scored.tokens.ends[:first].max(initial=0))
    for _, members in groupby(tokens, key=itemgetter(0)):
        ranges = [(start, end) for _, start, end in members]
        spelled = [(start, end) for start, end in ranges if end > start]
        start = min((start for start, _ in spelled), default=reached)
        stop = max((end for _, end in spelled), default=reached)
        gap, shown = visible(text[reached:start]), visible(text[start:stop])
        pieces.append(shown if not gap and len(ranges) == 1 else [gap, shown, len(ranges)])
        reached = max(reached, stop)
    if last == len(scored.influence) and reached < len(text):
        pieces.append([visible(text[reached:]), "", 0])
    return pieces


def _takes(scored: ScoredTokens, records: Records, reach: Mask, tau: np.float32, settings: SelectionSettings) -> str:
    """A letter a token, see `NOT_IN_REACH`."""
    last_of_group = records.last_of_group
    may_end = np.zeros(len(reach), dtype=bool)
    if settings.budget_ends == "token":
        may_end[last_of_group] = True
    else:
        above = scored.above(tau)
        last = neighbour_borders(scored, records, above)[1] - 1
        may_end[last_of_group[np.minimum(above + settings.neighbours, last)]] = True
    letters = np.where(reach, np.where(may_end, MAY_END, IN_REACH), NOT_IN_REACH)
    return "".join(letters.tolist())


def _described_records(
    records: Records, reaches: Sequence[Mask], placed: Sequence[Mapping[int, PlacedRecord]], first: int, last: int
) -> list[dict[str, Any]]:
    """Of each record the tokens of it that are shown, and for each threshold where it starts, its reach, and how much
    of that lies before the first token shown; 0 where it has none."""
    described = []
    for window in range(len(records.window)):
        rows: Ints = records.rows[window : window + 2]
        begin, end = (int(min(max(row, first), last)) for row in rows)
        at = []
        for reach, places in zip(reaches, placed, strict=True):
            place = places.get(window)
            at.append(0 if place is None else [place.start, place.reach, int(reach[rows[0] : begin].sum())])
        if any(at):
            described.append({"from": begin - first, "to": end - first, "at": at})
    return described


def _short(value: float) -> float:
    """Four significant digits."""
    return float(f"{value:.4g}")
