"""The oracles of the CPU on a GPU: exact in float32, close in bfloat16, and batches halved where memory runs out."""

import numpy as np
import pytest
import torch
from kronfluence.utils.state import State
from oracles import influence_by_autograd, kronfluence_scores, random_direction, random_windows
from tiny_models import FAMILIES, VOCABULARY, tiny_model

from ifcurate.influence.curvature.fit import compute_factors, fit_factors
from ifcurate.influence.curvature.inverse import precondition
from ifcurate.influence.direction import Direction
from ifcurate.influence.engines.calibration import Step, calibrate
from ifcurate.influence.engines.choice import build_engine
from ifcurate.influence.engines.compiled import CompiledForwardMode
from ifcurate.influence.engines.forward_mode import ForwardMode
from ifcurate.influence.query_gradient import QueryWindow, collate_queries, query_gradient
from ifcurate.influence.refinement.gauss_newton import GaussNewton
from ifcurate.influence.refinement.vectors import joined
from ifcurate.influence.scorer import Scorer
from ifcurate.model.batching import OneWindowARow, PackedRows
from ifcurate.model.device_map import place
from ifcurate.model.devices import forbid_reduced_precision, is_out_of_memory
from ifcurate.model.windows import Encoding, collate
from ifcurate.training.penalty import penalized_loss

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
ROOM = 32
LENGTHS = [17, 9, 17, 1, 12]
WINDOWS = random_windows(LENGTHS, VOCABULARY)


@pytest.fixture(autouse=True)
def exact_arithmetic():
    torch.set_float32_matmul_precision("medium")  # whatever it was before
    forbid_reduced_precision()
    yield
    torch.compiler.reset()


@pytest.fixture(autouse=True)
def kronfluence_chooses_its_device_anew():
    State._reset_state()
    yield
    State._reset_state()


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    found, expected = found.detach().cpu().double(), expected.detach().cpu().double()
    return float((found - expected).norm() / expected.norm())


def by_autograd(family: str):
    """Direction, and float64 scores of `WINDOWS` on the CPU."""
    model = tiny_model(family).double()
    direction = random_direction(model)
    return direction, influence_by_autograd(model, direction, collate(WINDOWS, 0))


def packed():
    """One batch that holds `WINDOWS`, and for each of its label tokens the place in their order."""
    packing = PackedRows(start=0, length=ROOM)
    (batch,) = packing.batches(WINDOWS, 3 * ROOM)
    places = np.split(np.arange(sum(LENGTHS)), np.cumsum(LENGTHS)[:-1])
    order = np.concatenate([places[window.document] for row in batch for window in row])
    return packing.collate(batch).to("cuda"), torch.from_numpy(order)


@pytest.mark.parametrize("family", FAMILIES)
def test_forward_mode_in_float32_is_the_gradient_along_the_direction(family):
    direction, expected = by_autograd(family)
    scores = ForwardMode(tiny_model(family).cuda(), [direction]).score(collate(WINDOWS, 0).to("cuda"))
    assert relative_error(scores.influence[0], expected) < 1e-5


@pytest.mark.parametrize("family", FAMILIES)
def test_compiled_forward_mode_in_float32_is_the_gradient_along_the_direction(family):
    direction, expected = by_autograd(family)
    batch, order = packed()
    scores = CompiledForwardMode(tiny_model(family).cuda(), [direction]).score(batch)
    assert relative_error(scores.influence[0], expected[order]) < 1e-5


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
@pytest.mark.parametrize("engine", ["finite-difference", "jvp"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_on_two_gpus_has_the_scores_and_the_gradient_of_one(family, engine):
    direction, expected = by_autograd(family)
    model = place(tiny_model(family), ["cuda:0", "cuda:1"])
    assert {str(parameter.device) for parameter in model.parameters()} == {"cuda:0", "cuda:1"}
    batch = collate(WINDOWS, 0).to("cuda:0")
    scores = build_engine(engine, model, [direction], [Step(1e-3, 0.0)]).score(batch)
    assert relative_error(scores.influence[0], expected) < 1e-3
    queries = [QueryWindow(window, 0, 1.0) for window in WINDOWS]
    gradients = [query_gradient(each, queries, 0, 64).tensors for each in (model, tiny_model(family))]
    for name, tensor in gradients[1].items():
        assert relative_error(gradients[0][name], tensor) < 1e-5, name


@pytest.mark.parametrize("engine", [ForwardMode, CompiledForwardMode])
@pytest.mark.parametrize("family", FAMILIES)
def test_forward_mode_is_accurate_in_bfloat16(family, engine):
    direction, expected = by_autograd(family)
    batch, order = packed()
    found = engine(tiny_model(family).bfloat16().cuda(), [direction]).score(batch).influence[0]
    assert torch.corrcoef(torch.stack([found.cpu().double(), expected[order]]))[0, 1] > 0.99


@pytest.mark.parametrize("engine", ["finite-difference", "one-sided"])
@pytest.mark.parametrize("family", FAMILIES)
def test_finite_differences_in_float32_are_the_gradient_along_the_direction(family, engine):
    direction, expected = by_autograd(family)
    model, batch = tiny_model(family).cuda(), collate(WINDOWS, 0).to("cuda")
    steps = calibrate(model, [direction], batch, engine)
    scores = build_engine(engine, model, [direction], steps).score(batch)
    assert relative_error(scores.influence[0], expected) < (1e-3 if engine == "finite-difference" else 1e-2)


@pytest.mark.parametrize("family", FAMILIES)
def test_window_sums_are_kronfluences(family, tmp_path):
    queries = [QueryWindow(window, len(window) // 2) for window in random_windows([8, 11, 6], VOCABULARY, seed=1)]
    factors = tmp_path / "factors"
    fit_factors(tiny_model(family).cuda(), random_windows([20] * 12, VOCABULARY, seed=2), 0, factors, 80, seed=0)
    gradient = query_gradient(tiny_model(family).cuda(), queries, 0, batch_tokens=64)
    direction = Direction(precondition(gradient.tensors, factors, "heuristic", "cuda"), {"behaviour": "toxic"})
    label = ForwardMode(tiny_model(family).cuda(), [direction]).score(collate(WINDOWS, 0).to("cuda")).influence[0]
    sums = torch.stack([part.sum() for part in label.split(LENGTHS)])
    batches = [collate_queries([query], 0) for query in queries]
    expected = kronfluence_scores(tiny_model(family).cuda(), batches, WINDOWS, factors, None, per_token=False)
    assert relative_error(sums, expected / gradient.tokens) < 1e-3


@pytest.mark.parametrize("family", FAMILIES)
def test_factors_and_products_with_the_curvature_are_those_of_the_cpu(family):
    windows = random_windows([20] * 6 + [7] * 5, VOCABULARY, seed=2)
    found = {
        device: compute_factors(tiny_model(family).to(device), windows, 0, 80, seed=0) for device in ("cpu", "cuda")
    }
    for layer, expected in found["cpu"].items():
        own = found["cuda"][layer]
        assert relative_error(own.input_values, expected.input_values) < 1e-4
        assert float(own.eigenvalues.sum()) == pytest.approx(float(expected.eigenvalues.sum()), rel=1e-3)
    vector = joined(random_direction(tiny_model(family)).tensors)
    products = {
        device: GaussNewton(tiny_model(family).to(device), 0, 40).product(
            {layer: matrix.to(device) for layer, matrix in vector.items()}, windows
        )
        for device in ("cpu", "cuda")
    }
    for layer, expected in products["cpu"].items():
        assert relative_error(products["cuda"][layer], expected) < 1e-3


def test_batches_are_halved_when_the_gpu_runs_out_of_memory():
    """Documents of one window each, on a GPU of which this process may use little more than the model needs."""
    model = tiny_model("llama", hidden_size=256, intermediate_size=1024, max_position_embeddings=512).cuda()
    direction = random_direction(model)
    generator = np.random.default_rng(0)
    ids = [generator.integers(1, VOCABULARY, 512).astype(np.int32) for _ in range(256)]
    documents, names = [Encoding(each, each, each) for each in ids], [str(number) for number in range(len(ids))]

    def score(batch_tokens: int):
        return Scorer(ForwardMode(model, [direction]), 1, 512, OneWindowARow(0), batch_tokens, "cuda").score(
            documents, names
        )

    expected, plenty = score(8 * 512)
    assert plenty.halvings == 0
    torch.cuda.empty_cache()
    whole = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + (1 << 29)) / whole)
    try:
        found, work = score(256 * 512)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert work.halvings > 0
    assert work.positions == work.tokens == 256 * 512
    together = [
        torch.from_numpy(np.concatenate([scores.influence[0] for scores in each])) for each in (found, expected)
    ]
    assert relative_error(*together) < 1e-4


def test_an_allocation_that_fails_is_recognised():
    with pytest.raises(RuntimeError) as raised:
        torch.empty(1 << 50, device="cuda")
    assert is_out_of_memory(raised.value)


def test_the_penalised_loss_is_that_of_the_cpu():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 9, VOCABULARY, generator=generator)
    labels = torch.randint(0, VOCABULARY, (2, 9), generator=generator)
    mask = torch.rand(2, 9, generator=generator) < 0.3
    results = []
    for device in ("cpu", "cuda"):
        moved = logits.to(device).detach().requires_grad_(True)
        loss = penalized_loss(moved, labels.to(device), mask.to(device))
        loss.backward()
        results.append((loss, moved.grad))
    assert relative_error(results[1][0], results[0][0]) < 1e-5
    assert relative_error(results[1][1], results[0][1]) < 1e-5
