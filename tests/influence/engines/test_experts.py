"""Mixtures of experts, every engine against autograd in float64 through transformers' own experts, routing held."""

import pytest
import torch
from oracles import influence_by_autograd, random_direction, random_windows
from tiny_models import EXPERT_FAMILIES, VOCABULARY, tiny_model

from ifcurate.influence.curvature.factors import load_factors
from ifcurate.influence.curvature.fit import fit_factors
from ifcurate.influence.curvature.idle import idle_layers, without
from ifcurate.influence.curvature.inverse import precondition
from ifcurate.influence.direction import Direction
from ifcurate.influence.engines.compiled import find_obstacle
from ifcurate.influence.engines.finite_difference import FiniteDifference, OneSidedDifference
from ifcurate.influence.engines.forward_mode import ForwardMode
from ifcurate.influence.engines.kronfluence import PositionScores
from ifcurate.influence.query_gradient import QueryWindow, query_gradient
from ifcurate.influence.refinement.gauss_newton import GaussNewton
from ifcurate.influence.refinement.vectors import joined
from ifcurate.model.experts import ExpertLayout
from ifcurate.model.windows import collate

LENGTHS = [17, 9, 1, 12]


def relative_error(found, expected):
    return float((found.double() - expected).norm() / expected.norm())


def oracle(family, direction, batch):
    model = tiny_model(family).double()
    model.set_experts_implementation("eager")
    return influence_by_autograd(model, direction, batch)


@pytest.fixture
def batch():
    return collate(random_windows(LENGTHS, VOCABULARY), start=0)


@pytest.mark.parametrize("family", EXPERT_FAMILIES)
def test_forward_mode_in_float64_is_the_gradient_along_the_direction(family, batch):
    model = tiny_model(family).double()
    directions = [random_direction(model, seed) for seed in (0, 1)]
    scores = ForwardMode(model, directions).score(batch).influence
    for row, direction in zip(scores, directions, strict=True):
        assert relative_error(row, oracle(family, direction, batch)) < 1e-6


@pytest.mark.parametrize(("difference", "tolerance"), [(FiniteDifference, 1e-2), (OneSidedDifference, 1e-1)])
@pytest.mark.parametrize("family", EXPERT_FAMILIES)
def test_differences_hold_the_routing_of_the_unmoved_model(family, difference, tolerance, batch, monkeypatch):
    """At a step so far that choices flip: held, the difference stays as near the derivative as without choices."""
    model = tiny_model(family).double()
    direction = random_direction(model)
    expected = oracle(family, direction, batch)
    held = relative_error(difference(model, [direction], [1e-2]).score(batch).influence[0], expected)
    assert held < tolerance
    monkeypatch.setattr("ifcurate.influence.engines.finite_difference.makes_choices", lambda *given: False)
    loose = relative_error(difference(model, [direction], [1e-2]).score(batch).influence[0], expected)
    assert loose > 3 * held or family != "olmoe", "where none flips, there is nothing to hold"


def test_window_sums_are_kronfluences_document_scores(tmp_path):
    family, windows = "olmoe", random_windows(LENGTHS, VOCABULARY)
    queries = [QueryWindow(window, len(window) // 2) for window in random_windows([8, 11, 6], VOCABULARY, seed=1)]
    factors = tmp_path / "factors"
    fit_factors(tiny_model(family), random_windows([20] * 12, VOCABULARY, seed=2), 0, factors, 80, seed=0)
    model = tiny_model(family)
    layout = ExpertLayout(model)
    gradient = query_gradient(model, queries, 0, batch_tokens=64).tensors
    idle = idle_layers(load_factors(factors), layout)
    vector = precondition(without(layout.open(gradient), idle), factors, 1e-3, "cpu")
    direction = Direction(layout.lay_back(vector, gradient), {"behaviour": "toxic"})
    batch = collate(windows, 0)
    label = ForwardMode(tiny_model(family).double(), [direction]).score(batch).influence[0]
    position = PositionScores(tiny_model(family), [direction]).score(batch).influence[0]
    assert label.shape == position.shape
    sums, others = (torch.stack([part.sum() for part in own.split(LENGTHS)]) for own in (label, position))
    expected = oracle(family, direction, batch)
    assert relative_error(sums, torch.stack([part.sum() for part in expected.split(LENGTHS)])) < 1e-4
    assert torch.isfinite(others).all()


def test_products_with_the_curvature_are_of_the_layers_that_are_asked_for(batch):
    model = tiny_model("mixtral").double()
    layout = ExpertLayout(model)
    windows = random_windows([6, 5], VOCABULARY)
    idle = {f"model.layers.0.mlp.experts.1.{part}" for part in ("gate_up_proj", "down_proj")}
    vectors = [
        joined(without(layout.open({k: v.double() for k, v in random_direction(model, seed).tensors.items()}), idle))
        for seed in (0, 1)
    ]
    gauss_newton = GaussNewton(model, 0, 64)
    products = [gauss_newton.product(vector, windows) for vector in vectors]
    assert all(list(product) == list(vectors[0]) for product in products)
    forth, back = (
        sum((products[one][layer] * vectors[other][layer]).sum() for layer in vectors[0])
        for one, other in ((0, 1), (1, 0))
    )
    assert torch.allclose(forth, back, rtol=1e-6)


def test_the_compiled_engine_says_what_is_in_its_way():
    assert "chooses by what it reads" in str(find_obstacle(tiny_model("olmoe"), "cpu"))
