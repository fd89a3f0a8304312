"""The damped Gauss-Newton system of a model small enough that its matrix can be written down, in float64."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from oracles import random_windows
from tiny_models import tiny_model
from torch.func import functional_call, jacrev
from transformers import PreTrainedModel

from ifcurate.influence.curvature.factors import Factors
from ifcurate.influence.curvature.fit import compute_factors
from ifcurate.influence.curvature.inverse import Inverse, mean_eigenvalues
from ifcurate.influence.refinement.gauss_newton import GaussNewton
from ifcurate.influence.refinement.system import System
from ifcurate.influence.refinement.vectors import Vector, joined, parted
from ifcurate.model.layers import tracked_parameters
from ifcurate.model.windows import Window, collate

VOCABULARY = 30
WINDOWS = random_windows([9, 6, 6, 3, 1], VOCABULARY, seed=4)
SMALLEST: dict[str, dict[str, Any]] = {
    "gpt_neox": {"intermediate_size": 12},
    "llama": {"intermediate_size": 12, "num_key_value_heads": 1},
}


def smallest_model(family: str) -> PreTrainedModel:
    """One block of width 8, in float64."""
    shape = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": VOCABULARY}
    return tiny_model(family, spread=0.4, **shape, **SMALLEST[family]).double()


def gauss_newton_matrix(model: PreTrainedModel, windows: list[Window]) -> torch.Tensor:
    """The mean over windows of the sum over tokens of J^T (diag p - p p^T) J, by its definition."""
    parameters = {name: parameter.detach() for name, parameter in tracked_parameters(model).items()}
    total: torch.Tensor | float = 0.0
    for window in windows:
        batch = collate([window], 0)

        def logits(weights: dict[str, torch.Tensor], ids: torch.Tensor = batch.input_ids) -> torch.Tensor:
            return functional_call(model, weights, kwargs={"input_ids": ids, "use_cache": False}).logits[0]

        jacobians = jacrev(logits)(parameters)
        jacobian = torch.cat([jacobians[name].flatten(2) for name in parameters], dim=2)
        for token, chances in zip(jacobian, logits(parameters).softmax(-1), strict=True):
            total = total + token.T @ (chances.diag() - chances.outer(chances)) @ token
    return torch.as_tensor(total).detach() / len(windows)


def flat(vector: Vector, model: PreTrainedModel) -> torch.Tensor:
    """In the order of the matrix's rows."""
    parameters = tracked_parameters(model)
    tensors = parted(vector, parameters)
    return torch.cat([tensors[name].flatten() for name in parameters])


@dataclass
class DenseSystem:
    """A system, its model, its factors, and its solution by the dense matrix."""

    model: PreTrainedModel
    factors: dict[str, Factors]
    system: System
    expected: torch.Tensor

    def error(self, solution: Vector) -> float:
        """Relative, Euclidean."""
        found = flat(solution, self.model)
        return float((found - self.expected).norm() / self.expected.norm())


def dense_system(family: str, damping: float = 0.1, samples: list[list[Window]] | None = None) -> DenseSystem:
    """`damping` is that many times each layer's mean eigenvalue; `samples` as in `System`."""
    model = smallest_model(family)
    factors = compute_factors(model, WINDOWS, 0, 40, seed=0)
    dampings = {layer: damping * mean for layer, mean in mean_eigenvalues(factors).items()}
    torch.manual_seed(1)
    gradient = joined({name: torch.randn_like(parameter) for name, parameter in tracked_parameters(model).items()})
    inverse = Inverse(factors, dampings, "cpu", torch.float64)
    system = System(GaussNewton(model, 0, 50), dampings, inverse, gradient, samples or [WINDOWS])
    matrix = gauss_newton_matrix(model, WINDOWS)
    ones = {layer: torch.full_like(part, dampings[layer]) for layer, part in gradient.items()}
    damped = matrix + flat(ones, model).diag()
    return DenseSystem(model, factors, system, torch.linalg.solve(damped, flat(gradient, model)))
