"""Windows that read tokens again: every engine against autograd and Kronfluence, and sums that add up."""

import numpy as np
import pytest
import torch
from oracles import influence_by_autograd, kronfluence_scores, random_direction, random_windows
from tiny_models import FAMILIES, VOCABULARY, tiny_model

from ifcurate.influence.curvature.fit import fit_factors
from ifcurate.influence.curvature.inverse import precondition
from ifcurate.influence.direction import Direction
from ifcurate.influence.engines.finite_difference import FiniteDifference, OneSidedDifference
from ifcurate.influence.engines.forward_mode import ForwardMode
from ifcurate.influence.engines.kronfluence import PositionScores
from ifcurate.influence.query_gradient import QueryWindow, collate_queries, query_gradient
from ifcurate.influence.scorer import Scorer
from ifcurate.model.batching import OneWindowARow, PackedRows
from ifcurate.model.layers import tracked_parameters
from ifcurate.model.windows import Encoding, collate, split_into_windows

CONTEXT, OVERLAP = 12, 5
LENGTHS = [30, 4, 13, 12]
BATCHINGS = {"padded": OneWindowARow(0), "packed": PackedRows(0, CONTEXT)}


@pytest.fixture(scope="module")
def documents():
    windows = random_windows(LENGTHS, VOCABULARY, seed=4)
    return [Encoding(window.token_ids, np.zeros(0, np.int32), np.zeros(0, np.int32)) for window in windows]


def score(engine, documents, batching="padded", batch_tokens=40):
    scorer = Scorer(engine, 1, CONTEXT, BATCHINGS[batching], batch_tokens, overlap=OVERLAP)
    scored, work = scorer.score(documents, [f"d{number}" for number in range(len(documents))])
    return [document.influence[0] for document in scored], work


def by_autograd(model, direction, documents):
    """float64: one window at a time, each token's gradient dotted with the direction."""
    found = [np.full(len(document), np.nan) for document in documents]
    for window in split_into_windows(documents, CONTEXT, OVERLAP):
        found[window.document][window.places] = influence_by_autograd(model, direction, collate([window], 0)).numpy()
    return found


def relative_error(found, expected):
    together, wanted = np.concatenate(found), np.concatenate(expected)
    return np.linalg.norm(together - wanted) / np.linalg.norm(wanted)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_label_engine_is_the_gradient_of_the_tokens_own_loss(family, documents):
    model = tiny_model(family).double()
    direction = random_direction(model)
    expected = by_autograd(model, direction, documents)
    found, work = score(ForwardMode(model, [direction]), documents)
    assert relative_error(found, expected) < 1e-6
    assert (work.tokens, work.context) == (sum(LENGTHS), 4 * OVERLAP)
    for engine in (FiniteDifference, OneSidedDifference):
        assert relative_error(score(engine(model, [direction], [1e-4]), documents)[0], expected) < 5e-3


def test_rows_that_hold_several_windows_score_them_alike(documents):
    model = tiny_model("llama").double()
    engine = ForwardMode(model, [random_direction(model)])
    packed, work = score(engine, documents, "packed")
    assert relative_error(packed, score(engine, documents)[0]) < 1e-12
    assert work.padding == pytest.approx(1 - (sum(LENGTHS) + 4 * OVERLAP) / work.positions)


def test_the_beginning_of_a_later_window_is_not_scored_as_that_of_a_text(documents):
    """Where the model sees no further back than the overlap reaches, windows leave no trace at all."""
    model = tiny_model("qwen2").double()
    engine = ForwardMode(model, [random_direction(model)])
    whole = Scorer(engine, 1, 64, OneWindowARow(0), 64).score(documents, list("abcd"))[0]
    cut = Scorer(engine, 1, CONTEXT, OneWindowARow(0), 64).score(documents, list("abcd"))[0]
    overlapping, _ = score(engine, documents)
    far, near = (
        relative_error(found, [document.influence[0] for document in whole])
        for found in ([document.influence[0] for document in cut], overlapping)
    )
    assert near < far


def test_position_scores_are_kronfluences_and_a_token_gathers_those_of_all_windows_that_read_it(documents, tmp_path):
    family = "gpt_neox"
    windows = split_into_windows(documents, CONTEXT, OVERLAP)
    queries = [QueryWindow(window, len(window) // 2) for window in random_windows([8, 11, 6], VOCABULARY, seed=1)]
    factors = tmp_path / "factors"
    fit_factors(tiny_model(family), windows, 0, factors, 80, seed=0)
    gradient = query_gradient(tiny_model(family), queries, 0, batch_tokens=64)
    direction = Direction(precondition(gradient.tensors, factors, 1e-3, "cpu"), {"behaviour": "toxic"})
    batches = [collate_queries([query], 0) for query in queries]

    sums = kronfluence_scores(tiny_model(family), batches, windows, factors, 1e-3, per_token=False) / gradient.tokens
    label, _ = score(ForwardMode(tiny_model(family).double(), [direction]), documents)
    of_windows = [float(label[window.document][window.places].sum()) for window in windows]
    assert of_windows == pytest.approx(sums.tolist(), rel=1e-3, abs=1e-4 * float(sums.abs().max()))

    positions = kronfluence_scores(tiny_model(family), batches, windows, factors, 1e-3, per_token=True)
    positions = positions.double().numpy() / gradient.tokens
    expected = [np.zeros(len(document)) for document in documents]
    for row, window in enumerate(windows):
        read = window.first + np.arange(len(window) - 1)
        expected[window.document][read] += positions[row, 1 : len(window)]
    found, _ = score(PositionScores(tiny_model(family), [direction]), documents)
    assert relative_error(found, expected) < 1e-3
    total = sum(float(part.sum()) for part in label)
    at_the_start = positions[:, 0].sum()
    together = sum(float(part.sum()) for part in found) + at_the_start
    assert together == pytest.approx(total, abs=1e-4 * sum(float(np.abs(part).sum()) for part in label))


def test_the_gradient_of_a_split_completion_reads_what_is_before_it(documents):
    model = tiny_model("llama").double()
    window = split_into_windows(documents, CONTEXT, OVERLAP)[1]
    found = query_gradient(model, [QueryWindow(window, OVERLAP)], 0, 64).tensors
    batch = collate([window], 0)
    parameters = tracked_parameters(model)
    for parameter in parameters.values():
        parameter.requires_grad_(True)
    logits = model(input_ids=batch.input_ids).logits[batch.mask]
    loss = torch.nn.functional.cross_entropy(logits, batch.labels[batch.mask])
    for name, gradient in zip(parameters, torch.autograd.grad(loss, list(parameters.values())), strict=True):
        assert torch.allclose(found[name], gradient.float(), atol=1e-6)
