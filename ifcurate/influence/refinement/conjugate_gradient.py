"""Preconditioned conjugate gradients on one fixed sample."""

from __future__ import annotations

from ifcurate.influence.refinement.state import State
from ifcurate.influence.refinement.system import System
from ifcurate.influence.refinement.vectors import dot, plus

SOLVED = 1e-12
"""Of the residual's squared norm (in the preconditioner's metric) at the start: below it there is only rounding."""


class ConjugateGradient:
    """The quadratic falls at every step; a step costs one product (Hestenes and Stiefel 1952)."""

    def __init__(self, system: System) -> None:
        self._system = system

    def start(self) -> State:
        """EK-FAC's solution, its residual, and the first search direction."""
        system = self._system
        solution = system.precondition(system.gradient)
        product = system.product(solution, 0)
        residual = plus(system.gradient, product, -1)
        search = system.precondition(residual)
        vectors = {"solution": solution, "residual": residual, "search": search}
        remaining = dot(residual, search)
        quadratics = [system.quadratic(solution, product)]
        return State(vectors, quadratics, {"remaining": remaining, "at_start": remaining})

    def step(self, state: State) -> State:
        """The lowest point along the search direction, and the next direction, conjugate to all before."""
        system, before = self._system, state.numbers["remaining"]
        if before <= SOLVED * state.numbers["at_start"]:
            return State(state.vectors, [*state.quadratics, state.quadratics[-1]], state.numbers)
        search = state.vectors["search"]
        moved = system.product(search, 0)
        length = before / dot(search, moved)
        solution = plus(state.vectors["solution"], search, length)
        residual = plus(state.vectors["residual"], moved, -length)
        direction = system.precondition(residual)
        remaining = dot(residual, direction)
        vectors = {
            "solution": solution,
            "residual": residual,
            "search": plus(direction, search, remaining / before),
        }
        quadratic = system.quadratic(solution, plus(system.gradient, residual, -1))
        return State(vectors, [*state.quadratics, quadratic], {**state.numbers, "remaining": remaining})
