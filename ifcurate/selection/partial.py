"""What a record gives up where the budget ends inside it."""

from __future__ import annotations

import numpy as np

from ifcurate.selection.records import cut_records, mask_records, whole_neighbourhoods
from ifcurate.selection.scores import ScoredTokens
from ifcurate.selection.settings import SelectionSettings


def fitting_tokens(document: ScoredTokens, window: int, room: int, settings: SelectionSettings, tau: np.float32) -> int:
    """How many of `room` tokens a record fills without splitting what the settings keep together: tokens that share a
    character, and where the budget ends with a neighbourhood, a token and its neighbours.

    Args:
        document: the one that the record is in, alone.
        window: the record's number in it.
        room: tokens that are left of the budget.
        settings: see `select`.
        tau: the threshold.
    """
    records = cut_records(document.tokens, settings.record_length)
    take = np.where(records.window == window, room, 0)
    if settings.budget_ends == "neighbourhood":
        take = whole_neighbourhoods(document, records, tau, settings.neighbours, take)
    return int(mask_records(document, records, tau, settings.neighbours, take).sum())
