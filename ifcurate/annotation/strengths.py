"""How strongly a marked token was selected: its own influence, or that of the token whose neighbour it is.

A mask holds the tokens above tau and their neighbours; the influence of a neighbour can be anything. Its trigger is
the nearest token above tau in its window and document; of two that are equally near, the one of more influence. The
trigger need not be marked itself: a budget may end between a neighbour and it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ifcurate.annotation.batches import AnnotatedBatch
from ifcurate.errors import InputError
from ifcurate.selection.scores import influence_column

OTHER_WINDOW = 1 << 40
"""Added to the distance of a trigger in another window: tokens that share a character may reach across the border."""
OTHER_DOCUMENT = 1 << 50


def strengths(
    influence: NDArray[np.float32],
    mask: NDArray[np.bool_],
    rows: NDArray[np.int64],
    tau: float,
    window: int | None = None,
) -> NDArray[np.float32]:
    """The clipped influence of every marked token's trigger.

    Args:
        influence: float32 [tokens], of consecutive documents.
        mask: bool [tokens].
        rows: int64 [documents + 1]: document d holds tokens `rows[d] .. rows[d + 1]`.
        tau: tokens of more influence are triggers.
        window: tokens of a window, where windows were ranked.

    Returns:
        float32 [tokens]: 0 on unmarked tokens, NaN on marked ones of a document without a trigger.
    """
    found = np.zeros(len(influence), dtype=np.float32)
    triggers, marked = np.flatnonzero(influence > np.float32(tau)), np.flatnonzero(mask)
    if not len(triggers) or not len(marked):
        found[marked] = np.nan
        return found
    document = np.repeat(np.arange(len(rows) - 1), np.diff(rows))
    part = (np.arange(len(influence)) - rows[document]) // (window or len(influence))
    behind = np.searchsorted(triggers, marked)
    sides = np.stack([triggers[np.maximum(behind - 1, 0)], triggers[np.minimum(behind, len(triggers) - 1)]])
    distance = np.abs(sides - marked)
    distance += OTHER_WINDOW * (part[sides] != part[marked]) + OTHER_DOCUMENT * (document[sides] != document[marked])
    nearest = distance.min(axis=0)
    own = np.where(distance == nearest, influence[sides], -np.inf).max(axis=0).clip(min=0)
    found[marked] = np.where(nearest < OTHER_DOCUMENT, own, np.nan)
    return found


@dataclass(frozen=True)
class StrengthColumns:
    """Reads the strengths of one shard's tokens.

    Attributes:
        triggers: behaviour to its tau and, where windows were ranked, the tokens of one.
    """

    triggers: Mapping[str, tuple[float, int | None]]

    @classmethod
    def said_by(cls, provenance: Mapping[str, Any], behaviours: Sequence[str], where: str) -> StrengthColumns:
        """From what a shard says of its annotations.

        Raises:
            InputError: it does not say how the tokens were selected.
        """
        found = {}
        for behaviour in behaviours:
            said = provenance.get(behaviour) or {}
            tau, by_window, window = said.get("tau"), said.get("rank_by") == "window", said.get("context")
            if not isinstance(tau, int | float) or (by_window and not isinstance(window, int)):
                raise InputError(
                    f"{where}: does not say above which influence tokens were selected for {behaviour!r}, which "
                    "--penalty-weights influence needs; write the shard again with `ifcurate write`."
                )
            found[behaviour] = (float(tau), window if by_window else None)
        return cls(found)

    def read(
        self, batch: AnnotatedBatch, rows: NDArray[np.int64], masks: Sequence[NDArray[np.bool_]]
    ) -> NDArray[np.float32]:
        """`[behaviours, tokens]` of a batch whose documents are `rows` and whose masks are `masks`, one a behaviour.

        Raises:
            InputError: a column cannot be read, or a token is marked where nothing triggers.
        """
        found = np.zeros((len(masks), int(rows[-1])), np.float32)
        for index, (behaviour, (tau, window)) in enumerate(self.triggers.items()):
            influence = batch.numbers_or_nan(influence_column(behaviour), rows)
            found[index] = strengths(influence, masks[index], rows, tau, window)
            lost = np.flatnonzero(np.isnan(found[index]))
            if len(lost):
                row = batch.first_row + int(np.searchsorted(rows, lost[0], side="right")) - 1
                raise InputError(
                    f"{batch.shard.path}: row {row}: a token is marked for {behaviour!r}, and none of its document has "
                    f"an influence above {tau:g}; write the shard again with `ifcurate write`."
                )
        return found
