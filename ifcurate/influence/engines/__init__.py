"""Which engine computes token influence: the choice for device and dtype, and the check of its step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from transformers import PreTrainedModel

from ifcurate.errors import InputError
from ifcurate.influence.direction import Direction
from ifcurate.influence.engines.compiled import CompiledForwardMode, missing_compiler, refusal
from ifcurate.influence.engines.finite_difference import FiniteDifference, OneSidedDifference
from ifcurate.influence.engines.forward_mode import ForwardMode
from ifcurate.influence.engines.kronfluence import PositionScores
from ifcurate.model.devices import resolve_dtype
from ifcurate.model.token_loss import TokenScores
from ifcurate.model.windows import WindowBatch

EngineName = Literal["finite-difference", "one-sided", "jvp", "compiled-jvp", "kronfluence"]
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

    @property
    def is_exact(self) -> bool:
        """Whether the error is tolerated; NaN is not."""
        return self.error <= TOLERATED_ERROR


DIFFERENCES: dict[EngineName, type[FiniteDifference | OneSidedDifference]] = {
    "finite-difference": FiniteDifference,
    "one-sided": OneSidedDifference,
}
"""Engines that need a step."""


def choose_dtype(dtype: str, engine: EngineName | Literal["auto"], alignment: Alignment, device: str) -> torch.dtype:
    """The dtype asked for, or for `auto` bfloat16 where forward mode runs on a GPU and float32 elsewhere."""
    forward_mode = alignment == "label" and engine in ("auto", "jvp", "compiled-jvp")
    if dtype == "auto" and not forward_mode:
        return torch.float32
    return resolve_dtype(dtype, device)


def choose_engine(
    engine: EngineName | Literal["auto"],
    alignment: Alignment,
    dtype: torch.dtype,
    device: str = "cpu",
    directions: int = 1,
) -> EngineName:
    """The engine asked for, or for `auto` the fastest exact one for alignment, dtype, device and number of directions.

    Raises:
        InputError: the engine cannot compute that alignment in that dtype, or needs a compiler that is not there.
    """
    if engine == "auto":
        if alignment == "position":
            return "kronfluence"
        if dtype != torch.float32:
            return "compiled-jvp" if device.startswith("cuda") else "jvp"
        return "finite-difference" if directions == 1 else "one-sided"
    if (engine == "kronfluence") != (alignment == "position"):
        able = "position" if engine == "kronfluence" else "label"
        raise InputError(f"option --engine: {engine} computes {able} alignment only; give --alignment {able}.")
    if engine in DIFFERENCES and dtype != torch.float32:
        raise InputError(
            f"option --engine: {engine} needs float32, in {dtype} rounding drowns it; "
            "give --dtype float32 or --engine jvp."
        )
    if engine == "compiled-jvp" and (missing := missing_compiler(device)):
        raise refusal(missing)
    return engine


def build_engine(
    name: EngineName, model: PreTrainedModel, directions: Sequence[Direction], steps: Sequence[Step]
) -> Engine:
    """The engine `name`; `steps` (one a direction) matter to finite differences only."""
    if name == "jvp":
        return ForwardMode(model, directions)
    if name == "compiled-jvp":
        return CompiledForwardMode(model, directions)
    if name == "kronfluence":
        return PositionScores(model, directions)
    return DIFFERENCES[name](model, directions, [step.relative for step in steps])


def calibrate(
    model: PreTrainedModel,
    directions: Sequence[Direction],
    batch: WindowBatch,
    engine: EngineName = "finite-difference",
) -> list[Step]:
    """The steps of `best_steps`.

    Raises:
        InputError: even the best one is off by more than `TOLERATED_ERROR`.
    """
    steps = best_steps(model, directions, batch, engine)
    for direction, step in zip(directions, steps, strict=True):
        if not step.is_exact:
            exact = "jvp" if engine == "finite-difference" else "finite-difference"
            raise InputError(
                f"option --engine: {engine} along {direction.behaviour!r} is off by {step.error:.1%} at its "
                f"best step; use --engine {exact}."
            )
    return steps


def best_steps(
    model: PreTrainedModel, directions: Sequence[Direction], batch: WindowBatch, engine: EngineName
) -> list[Step]:
    """The step with the smallest error against forward mode on `batch`, one a direction."""
    exact = ForwardMode(model, directions).score(batch).influence
    tried: list[list[Step]] = [[] for _ in directions]
    for relative in STEPS:
        found = DIFFERENCES[engine](model, directions, [relative] * len(directions)).score(batch).influence
        errors = (found - exact).norm(dim=1) / exact.norm(dim=1)
        for steps, error in zip(tried, errors.tolist(), strict=True):
            steps.append(Step(relative, error))
    return [min(steps, key=lambda step: (math.isnan(step.error), step.error)) for steps in tried]
