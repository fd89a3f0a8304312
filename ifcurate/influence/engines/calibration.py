"""The step of finite differences: chosen, and checked, against forward mode on a batch of the corpus."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedModel

from ifcurate.errors import InputError
from ifcurate.influence.direction import Direction
from ifcurate.influence.engines import ENGINES
from ifcurate.influence.engines.forward_mode import ForwardMode
from ifcurate.model.windows import WindowBatch
from ifcurate.progress import track
from ifcurate.registry import load

STEPS = (3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5)
"""Relative steps |e v| / |theta| tried for finite differences, from far to near."""
TOLERATED_ERROR = 1e-2
"""Largest relative error (Euclidean, over a batch) of finite differences against forward mode."""


@dataclass(frozen=True)
class Step:
    """A finite-difference step, relative to |theta| / |v|, and the relative error measured for it."""

    relative: float
    error: float

    @property
    def is_exact(self) -> bool:
        """Whether the error is tolerated; NaN is not."""
        return self.error <= TOLERATED_ERROR


def calibrate(
    model: PreTrainedModel,
    directions: Sequence[Direction],
    batch: WindowBatch,
    engine: str = "finite-difference",
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


def best_steps(model: PreTrainedModel, directions: Sequence[Direction], batch: WindowBatch, engine: str) -> list[Step]:
    """The step with the smallest error against forward mode on `batch`, one a direction."""
    difference = load(ENGINES[engine].home)
    tried: list[list[Step]] = [[] for _ in directions]
    with track("calibrate", 1 + len(STEPS), "steps") as tracker:
        exact = ForwardMode(model, directions).score(batch).influence
        tracker.update(1, 1)
        for done, relative in enumerate(STEPS, start=2):
            found = difference(model, directions, [relative] * len(directions)).score(batch).influence
            errors = (found - exact).norm(dim=1) / exact.norm(dim=1)
            for steps, error in zip(tried, errors.tolist(), strict=True):
                steps.append(Step(relative, error))
            tracker.update(done, done)
    return [min(steps, key=lambda step: (math.isnan(step.error), step.error)) for steps in tried]
