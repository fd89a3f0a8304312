"""Every engine against an oracle: autograd per token in float64, and Kronfluence's own pipeline."""

import logging

import pytest
import torch
from oracles import influence_by_autograd, kronfluence_scores, random_direction, random_windows
from tiny_models import FAMILIES, VOCABULARY, tiny_model

from ifcurate import progress
from ifcurate.errors import InputError
from ifcurate.influence.curvature.fit import fit_factors
from ifcurate.influence.curvature.inverse import precondition
from ifcurate.influence.direction import Direction
from ifcurate.influence.engines.calibration import STEPS, Step, calibrate
from ifcurate.influence.engines.choice import build_engine, choose_dtype, choose_engine
from ifcurate.influence.engines.finite_difference import FiniteDifference
from ifcurate.influence.engines.forward_mode import ForwardMode
from ifcurate.influence.engines.kronfluence import PositionScores
from ifcurate.influence.query_gradient import QueryWindow, collate_queries, query_gradient
from ifcurate.model.token_loss import Body, split
from ifcurate.model.windows import collate

LENGTHS = [17, 9, 17, 1, 12]


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found.detach().double() - expected.detach()).norm() / expected.detach().norm())


@pytest.fixture
def batch():
    return collate(random_windows(LENGTHS, VOCABULARY), start=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_forward_mode_in_float64_is_the_gradient_along_the_direction(family, batch):
    model = tiny_model(family).double()
    direction = random_direction(model)
    expected = influence_by_autograd(model, direction, batch)
    scores = ForwardMode(model, [direction]).score(batch)
    assert scores.influence.shape == (1, sum(LENGTHS))
    assert relative_error(scores.influence[0], expected) < 1e-6  # Llama normalises in float32


@pytest.mark.parametrize("family", FAMILIES)
def test_finite_differences_in_float32_are_the_gradient_along_the_direction(family, batch):
    model = tiny_model(family)
    direction = random_direction(model)
    expected = influence_by_autograd(tiny_model(family).double(), direction, batch)
    steps = calibrate(model, [direction], batch)
    scores = build_engine("finite-difference", model, [direction], steps).score(batch)
    assert relative_error(scores.influence[0], expected) < 1e-3
    assert steps[0].error < 1e-3


def test_calibration_says_how_many_steps_it_has_tried(batch, caplog, monkeypatch):
    caplog.set_level(logging.INFO, "ifcurate")
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0)
    model = tiny_model("gpt_neox")
    calibrate(model, [random_direction(model)], batch)
    assert len(caplog.messages) == len(STEPS) + 1
    assert caplog.messages[-1].startswith(f"calibrate: 100.0%, {len(STEPS) + 1} steps")


@pytest.mark.parametrize("engine", ["finite-difference", "one-sided"])
def test_a_batch_may_take_several_passes_and_the_fused_head(engine, batch, monkeypatch):
    model = tiny_model("gpt_neox")
    directions = [random_direction(model, seed) for seed in range(2)]
    steps = [Step(1e-3, 0.0)] * 2
    whole = build_engine(engine, model, directions, steps).score(batch)
    monkeypatch.setattr(
        "ifcurate.influence.engines.finite_difference.resolve_batch_tokens", lambda asked, device: 2 * max(LENGTHS)
    )
    monkeypatch.setattr("ifcurate.model.token_loss.FUSED_ROWS", 1)
    parts = build_engine(engine, model, directions, steps).score(batch)
    assert torch.allclose(parts.loss, whole.loss, atol=1e-5)
    assert relative_error(parts.influence, whole.influence) < 2e-3  # features differ by rounding, divided by the step


@pytest.mark.parametrize("family", FAMILIES)
def test_forward_mode_is_accurate_in_bfloat16(family, batch):
    model = tiny_model(family)
    direction = random_direction(model)
    expected = ForwardMode(model, [direction]).score(batch).influence[0]
    found = ForwardMode(tiny_model(family).bfloat16(), [direction]).score(batch).influence[0]
    assert torch.corrcoef(torch.stack([found, expected]))[0, 1] > 0.999


@pytest.mark.parametrize("family", FAMILIES)
def test_engines_tell_each_tokens_loss(family, batch):
    model = tiny_model(family)
    direction = random_direction(model)
    logits = model(input_ids=batch.input_ids).logits[batch.mask]
    expected = torch.nn.functional.cross_entropy(logits, batch.labels[batch.mask], reduction="none").double()
    for engine in (
        ForwardMode(model, [direction]),
        FiniteDifference(model, [direction], [1e-3]),
        PositionScores(model, [direction]),
    ):
        assert relative_error(engine.score(batch).loss, expected) < 1e-5


@pytest.mark.parametrize("damping", [None, 1e-3])
@pytest.mark.parametrize("family", FAMILIES)
def test_window_sums_and_position_scores_are_kronfluences(family, damping, tmp_path, batch):
    windows = random_windows(LENGTHS, VOCABULARY)
    queries = [QueryWindow(window, len(window) // 2) for window in random_windows([8, 11, 6], VOCABULARY, seed=1)]
    factors = tmp_path / "factors"
    fit_factors(tiny_model(family), random_windows([20] * 12, VOCABULARY, seed=2), 0, factors, 80, seed=0)
    gradient = query_gradient(tiny_model(family), queries, 0, batch_tokens=64)
    vector = precondition(gradient.tensors, factors, "heuristic" if damping is None else damping, "cpu")
    direction = Direction(vector, {"behaviour": "toxic"})

    batches = [collate_queries([query], 0) for query in queries]
    documents = kronfluence_scores(tiny_model(family), batches, windows, factors, damping, per_token=False)
    label = ForwardMode(tiny_model(family).double(), [direction]).score(batch).influence[0]
    sums = torch.stack([part.sum() for part in label.split(LENGTHS)])
    assert relative_error(sums, documents.double() / gradient.tokens) < 1e-4

    positions = kronfluence_scores(tiny_model(family), batches, windows, factors, damping, per_token=True)
    position = PositionScores(tiny_model(family), [direction]).score(batch).influence[0]
    for row, (length, scores) in enumerate(zip(LENGTHS, position.split(LENGTHS), strict=True)):
        read_at_next = torch.cat([positions[row, 1:length], torch.zeros(1)]) / gradient.tokens
        assert torch.allclose(scores, read_at_next, rtol=1e-3, atol=1e-5 * float(position.abs().max()))


def test_several_directions_are_scored_as_each_alone(batch):
    model = tiny_model("llama")
    directions = [random_direction(model, seed) for seed in (1, 2, 3)]
    for build in (ForwardMode, PositionScores, lambda m, d: FiniteDifference(m, d, [1e-3] * len(d))):
        together = build(model, directions).score(batch).influence
        alone = torch.cat([build(model, [direction]).score(batch).influence for direction in directions])
        assert torch.allclose(together, alone, rtol=1e-3, atol=1e-4)


def test_padding_and_neighbours_leave_no_trace():
    model = tiny_model("gpt_neox").double()
    direction = random_direction(model)
    engine = ForwardMode(model, [direction])
    windows = random_windows(LENGTHS, VOCABULARY)
    together = engine.score(collate(windows, 0)).influence
    alone = torch.cat([engine.score(collate([window], 0)).influence for window in windows], dim=1)
    assert relative_error(together, alone) < 1e-12


def test_the_head_is_split_off_only_where_that_is_exact():
    body, head = split(tiny_model("llama"))
    assert body.output == "last_hidden_state"
    assert isinstance(head, torch.nn.Linear)
    scaled = tiny_model("llama")
    scaled.forward = _doubling(scaled.forward)
    body, head = split(scaled)
    assert isinstance(body, Body)
    assert body.output == "logits"
    assert isinstance(head, torch.nn.Identity)


def _doubling(forward):
    def doubled(*args, **kwargs):
        output = forward(*args, **kwargs)
        output.logits = 2 * output.logits
        return output

    return doubled


def test_auto_picks_an_exact_engine_for_alignment_and_dtype():
    assert choose_engine("auto", "label", torch.float32) == "finite-difference"
    assert choose_engine("auto", "label", torch.bfloat16) == "jvp"
    assert choose_engine("auto", "label", torch.float64) == "jvp"
    assert choose_engine("auto", "label", torch.bfloat16, ["cuda:0"]) == "compiled-jvp"
    assert choose_engine("auto", "label", torch.float32, ["cuda:0"]) == "finite-difference"
    assert choose_engine("auto", "position", torch.float32) == "kronfluence"


def test_auto_picks_a_dtype_that_the_engine_is_exact_in():
    for engine in ("auto", "jvp", "compiled-jvp"):
        assert choose_dtype("auto", engine, "label", "cuda:1") == torch.bfloat16
        assert choose_dtype("auto", engine, "label", "cpu") == torch.float32
    for engine in ("finite-difference", "one-sided"):
        assert choose_dtype("auto", engine, "label", "cuda") == torch.float32
    for engine in ("auto", "kronfluence"):
        assert choose_dtype("auto", engine, "position", "cuda") == torch.float32
    assert choose_dtype("bfloat16", "kronfluence", "position", "cuda") == torch.bfloat16


@pytest.mark.parametrize(
    ("engine", "alignment", "dtype"),
    [
        ("kronfluence", "label", torch.float32),
        ("jvp", "position", torch.float32),
        ("compiled-jvp", "position", torch.bfloat16),
        ("finite-difference", "label", torch.bfloat16),
    ],
)
def test_an_engine_that_cannot_do_it_is_refused(engine, alignment, dtype):
    with pytest.raises(InputError, match="option --engine"):
        choose_engine(engine, alignment, dtype)


def test_finite_differences_that_are_far_off_are_refused(batch, monkeypatch):
    model = tiny_model("gpt_neox")
    monkeypatch.setattr("ifcurate.influence.engines.calibration.STEPS", (10.0,))
    with pytest.raises(InputError, match="use --engine jvp"):
        calibrate(model, [random_direction(model)], batch)
