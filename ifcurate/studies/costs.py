"""What pieces will take: as long as like ones took here, or as a plan says, or unknown."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ifcurate.studies.pieces import LEAVES_NO_TRACE, LENGTH_OF_KEY, Piece
from ifcurate.studies.records import Record

Basis = Literal["like pieces here", "ifcurate plan", "unknown"]

COSTS_NOTHING = LEAVES_NO_TRACE | frozenset(
    {"seed", "behaviour", "queries", "contrast", "quantile", "neighbours", "budget", "budget_ends", "rank_by"}
    | {"length_exponent", "penalty", "spare", "penalty_clamp", "penalty_beta", "penalty_weights", "penalty_start"}
    | {"penalty_end", "learning_rate", "lr_scheduler_type", "warmup_ratio", "weight_decay", "adam_beta1"}
    | {"adam_beta2", "max_grad_norm", "temperature", "top_p", "rad_beta", "rad_label", "rad_invert", "data"}
)
"""Settings that change a piece and not how long it takes."""


@dataclass(frozen=True)
class Estimate:
    """Seconds that a piece will take, None where nobody knows, and what says so."""

    seconds: float | None
    basis: Basis


UNKNOWN = Estimate(None, "unknown")


def likeness(piece: Piece) -> str:
    """Equal for pieces that take as long: whatever they do is the same, with a model of the same shape."""
    settings = {name: value for name, value in piece.settings.items() if name not in COSTS_NOTHING}
    roles = sorted(piece.needs)
    content = [piece.kind, settings, roles, _origin(piece)]
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:LENGTH_OF_KEY]


def measured(records: Iterable[Record]) -> dict[str, float]:
    """Likeness to the mean seconds of the pieces that one process made from beginning to end."""
    seconds: dict[str, list[float]] = {}
    for record in records:
        if record.whole:
            seconds.setdefault(record.likeness, []).append(record.seconds)
    return {like: float(np.mean(each)) for like, each in seconds.items()}


def estimate(piece: Piece, known: Mapping[str, float]) -> Estimate:
    """What like pieces took."""
    seconds = known.get(likeness(piece))
    return UNKNOWN if seconds is None else Estimate(seconds, "like pieces here")


def left(estimates: Sequence[Estimate]) -> str:
    """The sum of `estimates` in words, which says how many are not in it."""
    seconds = [each.seconds for each in estimates if each.seconds is not None]
    unknown = len(estimates) - len(seconds)
    if not seconds:
        return "time left unknown" if estimates else "nothing left"
    known = f"about {duration(sum(seconds))} left"
    pieces = "1 piece" if unknown == 1 else f"{unknown} pieces"
    return known if not unknown else f"{known}, and {pieces} of unknown duration"


def duration(seconds: float) -> str:
    """`12 s`, `3.4 min` or `5.6 h`."""
    if seconds < 100:
        return f"{seconds:,.0f} s"
    return f"{seconds / 60:,.1f} min" if seconds < 6000 else f"{seconds / 3600:,.1f} h"


def _origin(piece: Piece) -> object:
    """The model that a piece begins with, through whatever was trained before."""
    settings = piece.settings
    own = settings.get("model") or settings.get("config_name")
    if own is not None or "model" not in piece.needs:
        return own
    return _origin(piece.needs["model"])
