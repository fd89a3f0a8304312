"""Which engine computes token influence: the choice for device and dtype, and the check of its step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from transformers import PreTrainedModel

from ifcurate.direction import Direction
from ifcurate.errors import InputError
from ifcurate.finite_difference import FiniteDifference
from ifcurate.forward_mode import ForwardMode
from ifcurate.position_scores import PositionScores
from ifcurate.token_loss import TokenScores
from ifcurate.windows import WindowBatch

EngineName = Literal["finite-difference", "jvp", "kronfluence"]
Alignment = Literal["label", "position"]

STEPS = (3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5)
"""Relative steps |e v| / |theta| tried for finite differences, from far to near."""
TOLERATED_ERROR = 1e-2
"""Largest relative error (Euclidean, over a batch) of finite differences against forward mode."""


class Engine(Protocol):
    """Scores batches of windows against the directions it was made with."""

    def score(self, batch: WindowBatch) -> TokenScores:
        """Scores of the label tokens of `batch`."""


@dataclass(frozen=True)
class Step:
    """A finite-difference step, relative to |theta| / |v|, and the relative error measured for it."""

    relative: float
    error: float


def choose_engine(engine: EngineName | Literal["auto"], alignment: Alignment, dtype: torch.dtype) -> EngineName:
    """The engine asked for, or for `auto` the fastest exact one for alignment and dtype.

    Raises:
        InputError: the engine cannot compute that alignment in that dtype.
    """
    if engine == "auto":
        if alignment == "position":
            return "kronfluence"
        return "finite-difference" if dtype == torch.float32 else "jvp"
    if (engine == "kronfluence") != (alignment == "position"):
        able = "position" if engine == "kronfluence" else "label"
        raise InputError(f"option --engine: {engine} computes {able} alignment only; give --alignment {able}.")
    if engine == "finite-difference" and dtype != torch.float32:
        raise InputError("option --engine: finite-difference needs --dtype float32, other dtypes drown or waste it.")
    return engine


def build_engine(
    name: EngineName, model: PreTrainedModel, directions: Sequence[Direction], steps: Sequence[Step]
) -> Engine:
    """The engine `name`; `steps` (one a direction) matter to finite differences only."""
    if name == "jvp":
        return ForwardMode(model, directions)
    if name == "kronfluence":
        return PositionScores(model, directions)
    return FiniteDifference(model, directions, [step.relative for step in steps])


def calibrate(model: PreTrainedModel, directions: Sequence[Direction], batch: WindowBatch) -> list[Step]:
    """The step with the smallest error against forward mode on `batch`, one a direction.

    Raises:
        InputError: even the best one is off by more than `TOLERATED_ERROR`.
    """
    return [_calibrate_one(model, direction, batch) for direction in directions]


def _calibrate_one(model: PreTrainedModel, direction: Direction, batch: WindowBatch) -> Step:
    exact = ForwardMode(model, [direction]).score(batch).influence
    tried = []
    for relative in STEPS:
        influence = FiniteDifference(model, [direction], [relative]).score(batch).influence
        tried.append(Step(relative, float((influence - exact).norm() / exact.norm())))
    best = min(tried, key=lambda step: step.error)
    if not best.error <= TOLERATED_ERROR:
        raise InputError(
            f"option --engine: finite differences along {direction.behaviour!r} are off by {best.error:.1%} at their "
            "best step; use --engine jvp."
        )
    return best
