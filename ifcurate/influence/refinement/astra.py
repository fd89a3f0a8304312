"""ASTRA (Wang et al. 2025): an EK-FAC-preconditioned Neumann iteration on minibatches, with momentum."""

from __future__ import annotations

from ifcurate.influence.refinement.state import State
from ifcurate.influence.refinement.system import System
from ifcurate.influence.refinement.vectors import Vector, dot, plus

MOMENTUM = 0.9
POWER_STEPS = 8
"""Products with which the largest eigenvalue of the preconditioned matrix is estimated, each on another minibatch."""
SHARE_OF_STABLE = 0.2
"""The step, times the largest eigenvalue seen; at 3.8 one fixed matrix would no longer be borne."""


class Astra:
    """v falls along the preconditioned slope of each minibatch's quadratic; a step costs one product.

    The step is far below what momentum 0.9 bears with one matrix, since minibatches have eigenvalues many times as
    large as others'. Where even that is too long, the quadratic grows, and `refine` refuses.
    """

    def __init__(self, system: System) -> None:
        self._system = system

    def start(self) -> State:
        """EK-FAC's solution at rest, and the length of a step."""
        solution = self._system.precondition(self._system.gradient)
        still = {layer: matrix * 0 for layer, matrix in solution.items()}
        length = SHARE_OF_STABLE / self._largest_eigenvalue(solution)
        return State({"solution": solution, "velocity": still}, [], {"length": length})

    def step(self, state: State) -> State:
        """One minibatch; the quadratic is that of the solution before the step, on this minibatch alone."""
        system, solution = self._system, state.vectors["solution"]
        product = system.product(solution, len(state.quadratics))
        slope = system.precondition(plus(product, system.gradient, -1))
        velocity = plus(slope, state.vectors["velocity"], MOMENTUM)
        vectors = {"solution": plus(solution, velocity, -state.numbers["length"]), "velocity": velocity}
        return State(vectors, [*state.quadratics, system.quadratic(solution, product)], state.numbers)

    def _largest_eigenvalue(self, vector: Vector) -> float:
        """Of (H + D)^-1 (G + D), by power iteration: Rayleigh quotients (in the metric of G + D) grow towards it."""
        largest = 0.0
        for step in range(POWER_STEPS):
            product = self._system.product(vector, step)
            turned = self._system.precondition(product)
            largest = max(largest, dot(product, turned) / dot(vector, product))
            size = dot(turned, turned) ** 0.5
            vector = {layer: matrix / size for layer, matrix in turned.items()}
        return largest
