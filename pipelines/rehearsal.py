"""The real fit, direct and score on a few windows of a sample, timed, and what the whole takes by known laws.

Passes take time in proportion to tokens; decompositions to the matrices, whatever the text; reading a model, storing
factors and finding a step are a start that is the same for any corpus. Each is measured apart: processor seconds of
one process with the threads that the stage has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from ifcurate.influence.curvature.covariances import Covariances
from ifcurate.influence.curvature.fit import GRADIENTS, INPUTS, fit_covariances, fit_eigenvalues
from ifcurate.influence.curvature.signals import Signals
from ifcurate.influence.direction import Direction
from ifcurate.influence.engines import ENGINES
from ifcurate.influence.engines.calibration import STEPS, Step
from ifcurate.influence.engines.choice import build_engine
from ifcurate.influence.engines.forward_mode import ForwardMode
from ifcurate.influence.loading import CALIBRATION_TOKENS
from ifcurate.influence.query_gradient import QueryWindow, query_gradient
from ifcurate.model.checkpoints import start_token
from ifcurate.model.hashes import hash_model
from ifcurate.model.layers import tracked_parameters
from ifcurate.model.windows import Window, WindowBatch, bucket_by_length, collate
from ifcurate.planning.durations import Took, clocked
from ifcurate.planning.matrices import decomposition, solving, storing
from ifcurate.planning.shapes import ModelShape
from ifcurate.planning.timing import SECONDS_A_PART, thinned, timed, tokens_of

FEWEST_TOKENS = 32
"""Of a window that is cut for it."""
PASSES_A_PART = 8
"""Forward passes that the work of a part amounts to."""
RELATIVE_STEP = 1e-3
"""Of the finite differences: any takes the same time."""


@dataclass(frozen=True)
class Rehearsed:
    """What was timed.

    Attributes:
        hashing: the model, once.
        covariances: a token of the first pass of fitting.
        eigenvalues: a token of the second pass.
        decompositions: all matrices, one thread.
        storing: a byte of factors, written and hashed.
        query: a token of a query window.
        solving: H^-1 g of all layers.
        calibrating: finding a finite-difference step; none for engines without one.
        score: a token of the corpus along the directions, batching included.
        tokens: that were scored for it.
    """

    hashing: Took
    covariances: Took
    eigenvalues: Took
    decompositions: Took
    storing: Took
    query: Took
    solving: Took
    calibrating: Took
    score: Took
    tokens: int


@dataclass(frozen=True)
class Material:
    """What is rehearsed on.

    Attributes:
        model: loaded as for fitting; fitting opens its experts, so it is of no use afterwards.
        tokenizer: its own.
        shape: of it.
        fitted: windows of the sample that the curvature is fitted on.
        queries: windows of the queries.
        scored: windows of the corpus, of documents drawn with equal chances.
        engine: that scores.
        directions: along how many.
        batch_tokens: positions a batch of fitting and of queries, and of scoring.
        threads: of fitting and of queries, and of scoring.
        seed: of the labels that are sampled.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    shape: ModelShape
    fitted: Sequence[Window]
    queries: Sequence[QueryWindow]
    scored: Sequence[Window]
    engine: str
    directions: int
    batch_tokens: tuple[int, int]
    threads: tuple[int, int]
    seed: int


def rehearse(material: Material) -> Rehearsed:
    """Time every part: scoring first, since fitting changes the model in place."""
    material = _cut_to_speed(material)
    torch.set_num_threads(material.threads[1])
    score, tokens, calibrating = _scoring(material)
    torch.set_num_threads(material.threads[0])
    _, hashing = clocked(lambda: hash_model(material.model))
    query = _querying(material)
    covariances, eigenvalues = _passes(material)
    decompositions = sum((decomposition(size, count) for size, count in material.shape.matrices.items()), Took())
    return Rehearsed(
        hashing,
        covariances,
        eigenvalues,
        decompositions,
        storing(),
        query,
        solving(material.shape),
        calibrating,
        score,
        tokens,
    )


def _cut_to_speed(material: Material) -> Material:
    """Where a whole window takes longer than a part may, their beginnings have to do."""
    probe = thinned(material.scored, 1)[0].token_ids[:FEWEST_TOKENS].astype(np.int64)
    read = torch.from_numpy(probe)[None].to(material.model.device)

    def forward() -> None:
        with torch.no_grad():
            material.model(input_ids=read, use_cache=False)

    forward()
    _, once = clocked(forward)
    most = max(FEWEST_TOKENS, round(len(probe) * SECONDS_A_PART / PASSES_A_PART / max(once.seconds, 1e-6)))

    def cut(windows: Sequence[Window]) -> list[Window]:
        return [replace(window, token_ids=window.token_ids[:most], scored=None) for window in windows]

    return replace(material, fitted=cut(material.fitted), scored=cut(material.scored))


def _batches(windows: Sequence[Window], positions: int) -> list[list[Window]]:
    return [[windows[index] for index in group] for group in bucket_by_length(list(map(len, windows)), positions)]


def _scoring(material: Material) -> tuple[Took, int, Took]:
    """A token's time, how many were scored to find it, and the time of finding a step."""
    model, start = material.model, start_token(material.tokenizer)
    directions = [_random_direction(model, number) for number in range(material.directions)]
    engine = build_engine(material.engine, model, directions, [Step(RELATIVE_STEP, 0.0)] * material.directions)
    positions = material.batch_tokens[1]

    def score(windows: Sequence[Window]) -> None:
        for batch in _batches(windows, positions):
            engine.score(collate(batch, start).to(str(model.device)))

    shortest = [min(material.scored, key=len)]
    score(shortest)
    _, moving = clocked(lambda: score(shortest))  # the weights, once a batch, and hardly anything else
    took, chosen = timed(material.scored, score)
    tokens, batches = tokens_of(chosen), len(_batches(chosen, positions))
    whole = took.after(moving.times(batches)) + moving.times(tokens / positions)
    each = whole.times(1 / tokens)
    if not ENGINES[material.engine].needs_step:
        return each, tokens, Took()
    calibrated = min(CALIBRATION_TOKENS, tokens_of(material.fitted))
    exact = _forward_mode(model, directions, thinned(chosen, CALIBRATION_TOKENS / 8), start)
    tried = moving + whole.times(1 / tokens * calibrated)
    return each, tokens, exact.times(calibrated) + tried.times(len(STEPS))


def _forward_mode(
    model: PreTrainedModel, directions: Sequence[Direction], windows: Sequence[Window], start: int
) -> Took:
    """A token's time."""
    exact = ForwardMode(model, directions)
    batch: WindowBatch = collate(windows, start).to(str(model.device))
    exact.score(batch)
    _, took = clocked(lambda: exact.score(batch))
    return took.times(1 / tokens_of(windows))


def _random_direction(model: PreTrainedModel, seed: int) -> Direction:
    generator = torch.Generator().manual_seed(seed)
    tensors = {
        name: torch.randn(parameter.shape, generator=generator) for name, parameter in tracked_parameters(model).items()
    }
    return Direction(tensors, {"behaviour": f"rehearsal{seed}"})


def _querying(material: Material) -> Took:
    """A token's time, of prompts too."""
    of_window = {id(query.window): query for query in material.queries}
    start = start_token(material.tokenizer)

    def gradient(windows: Sequence[Window]) -> None:
        chosen = [of_window[id(window)] for window in windows]
        query_gradient(material.model, chosen, start, material.batch_tokens[0])

    took, chosen = timed([query.window for query in material.queries], gradient)
    return took.times(1 / tokens_of(chosen))


def _passes(material: Material) -> tuple[Took, Took]:
    """A token's time in either pass of fitting."""
    signals, start = Signals(material.model), start_token(material.tokenizer)
    first = Covariances(signals.layers)

    def nothing(tokens: int) -> None: ...

    def covariances(windows: Sequence[Window]) -> None:
        nonlocal first
        first = fit_covariances(signals, _batches(windows, material.batch_tokens[0]), start, material.seed, nothing)

    took, chosen = timed(material.fitted, covariances)
    basis = {
        INPUTS: {name: (matrix[0], _like_vectors(matrix)) for name, matrix in first.inputs.items()},
        GRADIENTS: {name: (matrix[0], _like_vectors(matrix)) for name, matrix in first.gradients.items()},
    }

    def eigenvalues(windows: Sequence[Window]) -> None:
        batches = _batches(windows, material.batch_tokens[0])
        fit_eigenvalues(signals, batches, start, material.seed, basis, nothing)

    turned, of_turned = timed(material.fitted, eigenvalues)
    return took.times(1 / tokens_of(chosen)), turned.times(1 / tokens_of(of_turned))


def _like_vectors(matrix: torch.Tensor) -> torch.Tensor:
    """A matrix of that shape whose products take as long as those of eigenvectors."""
    return torch.randn_like(matrix).div_(len(matrix) ** 0.5)
