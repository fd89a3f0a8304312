"""A refinement from its start to its last step, kept on the way."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ifcurate.errors import InputError
from ifcurate.files import remove
from ifcurate.influence.refinement import REFINEMENTS
from ifcurate.influence.refinement.state import State, load_state, save_state
from ifcurate.influence.refinement.system import System
from ifcurate.influence.refinement.vectors import Vector
from ifcurate.model.windows import Window
from ifcurate.progress import log, track
from ifcurate.registry import load

RECENT = 5
"""Steps whose quadratics are looked at."""
SECONDS_BETWEEN_SAVES = 60.0
"""A state is as large as two or three models; writing it must not be what takes the time."""


@dataclass(frozen=True)
class Refined:
    """The solution, and what the quadratic was at each step: see `Astra.step` for whose."""

    solution: Vector
    quadratics: list[float]


def refine(name: str, system: System, steps: int, kept: Path, identity: str, device: torch.device) -> Refined:
    """Solve `system` by the method `name` in `steps` steps; a stopped refinement goes on from the file `kept`.

    Raises:
        InputError: it does not converge, or a window does not fit into memory.
    """
    method = load(REFINEMENTS[name].home)(system)
    with track(f"refine ({name})", steps, "steps") as tracker:
        state: State = load_state(kept, identity, device) or method.start()
        saved = time.monotonic()
        while state.steps < steps:
            state = replace(method.step(state), steps=state.steps + 1)
            _require_convergence(state)
            log.info(f"refine ({name}): step {state.steps} of {steps}, quadratic {state.quadratics[-1]:.6g}")
            tracker.update(state.steps, state.steps)
            if time.monotonic() - saved > SECONDS_BETWEEN_SAVES and state.steps < steps:
                save_state(state, identity, kept)
                saved = time.monotonic()
    remove(kept)
    return Refined(state.vectors["solution"], state.quadratics)


def _require_convergence(state: State) -> None:
    """Minibatches differ, so a quadratic may stand above the first one; `RECENT` in a row, far above, are no chance."""
    recent, first = state.quadratics[-RECENT:], state.quadratics[0]
    diverges = len(state.quadratics) > RECENT and min(recent) > first + abs(first)
    if diverges or not math.isfinite(state.quadratics[-1]):
        raise InputError(
            f"option --refine: does not converge, its quadratic is {state.quadratics[-1]} at step {state.steps}; raise "
            "--refine-damping, or use --refine cg or none."
        )


def split_sample(windows: Sequence[Window], tokens: int) -> list[list[Window]]:
    """Windows in their order, in groups of at least `tokens` tokens, what is left over in the last one."""
    groups: list[list[Window]] = [[]]
    held = 0
    for window in windows:
        if held >= tokens:
            groups.append([])
            held = 0
        groups[-1].append(window)
        held += len(window)
    if held < tokens and len(groups) > 1:
        groups[-2:] = [groups[-2] + groups[-1]]
    return groups
