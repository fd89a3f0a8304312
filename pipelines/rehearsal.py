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
from ifcurate.model.windows import Window, collate
from ifcurate.planning.durations import Took, clocked
from ifcurate.planning.matrices import decomposition, solving, storing
from ifcurate.planning.shapes import ModelShape
from ifcurate.planning.timing import FEWEST_TOKENS, SECONDS_A_PART, Batches, batches_of, shortened, timed

PROBED_TOKENS = 32
"""Of a window, whose pass says how long a whole one takes."""
PASSES_A_PART = 8
"""Forward passes that the work of a part amounts to."""
RELATIVE_STEP = 1e-3
"""Of the finite differences: any takes the same time."""


@dataclass(frozen=True)
class Rehearsed:
    """What was timed.

    Attributes:
        hashing: the model, once.
        covariances: the first pass of fitting, over the whole sample.
        eigenvalues: the second pass.
        decompositions: all matrices, one thread.
        storing: a byte of factors, written and hashed.
        queries: gradients of all queries.
        solving: H^-1 g of all layers.
        calibrating: finding a finite-difference step; none for engines without one.
        score: a token of the corpus along the directions, batching included.
    """

    hashing: Took
    covariances: Took
    eigenvalues: Took
    decompositions: Took
    storing: Took
    queries: Took
    solving: Took
    calibrating: Took
    score: Took


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
    torch.set_num_threads(material.threads[1])
    material = _cut_to_speed(material)
    score, calibrating = _scoring(material)
    torch.set_num_threads(material.threads[0])
    _, hashing = clocked(lambda: hash_model(material.model))
    queries = _querying(material)
    covariances, eigenvalues = _passes(material)
    decompositions = sum((decomposition(size, count) for size, count in material.shape.matrices.items()), Took())
    return Rehearsed(
        *(hashing, covariances, eigenvalues, decompositions, storing(), queries, solving(material.shape)),
        *(calibrating, score),
    )


def _cut_to_speed(material: Material) -> Material:
    """Where a whole window takes longer than a part may, their beginnings have to do."""
    probe = shortened(max(material.scored, key=len), PROBED_TOKENS).token_ids.astype(np.int64)
    read = torch.from_numpy(probe)[None].to(material.model.device)

    def forward() -> None:
        with torch.no_grad():
            material.model(input_ids=read, use_cache=False)

    forward()
    _, once = clocked(forward)
    most = max(PROBED_TOKENS, round(len(probe) * SECONDS_A_PART / PASSES_A_PART / max(once.seconds, 1e-6)))
    fitted, scored = ([shortened(window, most) for window in windows] for windows in (material.fitted, material.scored))
    return replace(material, fitted=fitted, scored=scored)


def _scoring(material: Material) -> tuple[Took, Took]:
    """A token's time, and that of finding a step."""
    model, start = material.model, start_token(material.tokenizer)
    directions = [_random_direction(model, number) for number in range(material.directions)]
    steps = [Step(RELATIVE_STEP, 0.0)] * material.directions
    engine, building = clocked(lambda: build_engine(material.engine, model, directions, steps))
    device = str(model.device)

    def score(batches: Batches) -> None:
        for batch in batches:
            engine.score(collate(batch, start).to(device))

    batches = batches_of(material.scored, material.batch_tokens[1])
    smallest = shortened(material.scored[0], FEWEST_TOKENS)
    rate = timed(batches, smallest, score)
    if not ENGINES[material.engine].needs_step:
        return rate.a_token(batches), Took()
    exact = ForwardMode(model, directions)

    def derive(batches: Batches) -> None:
        for batch in batches:
            exact.score(collate(batch, start).to(device))

    longest = batches_of(material.fitted, CALIBRATION_TOKENS)[:1]
    tried = building + timed(longest, smallest, score).of(longest)
    return rate.a_token(batches), timed(longest, smallest, derive).of(longest) + tried.times(len(STEPS))


def _random_direction(model: PreTrainedModel, seed: int) -> Direction:
    generator = torch.Generator().manual_seed(seed)
    tensors = {
        name: torch.randn(parameter.shape, generator=generator) for name, parameter in tracked_parameters(model).items()
    }
    return Direction(tensors, {"behaviour": f"rehearsal{seed}"})


def _querying(material: Material) -> Took:
    """The time of all queries."""
    of_window = {id(query.window): query for query in material.queries}
    windows = [query.window for query in material.queries]
    start, positions = start_token(material.tokenizer), material.batch_tokens[0]

    def gradient(batches: Batches) -> None:
        chosen = [of_window[id(window)] for batch in batches for window in batch]
        query_gradient(material.model, chosen, start, positions)

    batches = batches_of(windows, positions)
    return timed(batches, min(windows, key=len), gradient).of(batches)


def _passes(material: Material) -> tuple[Took, Took]:
    """The time of either pass of fitting."""
    signals, start = Signals(material.model), start_token(material.tokenizer)
    first = Covariances(signals.layers)

    def nothing(tokens: int) -> None: ...

    def covariances(batches: Batches) -> None:
        nonlocal first
        first = fit_covariances(signals, batches, start, material.seed, nothing)

    batches = batches_of(material.fitted, material.batch_tokens[0])
    smallest = shortened(material.fitted[0], FEWEST_TOKENS)
    of_first = timed(batches, smallest, covariances).of(batches)
    basis = {
        INPUTS: {name: (matrix[0], _like_vectors(matrix)) for name, matrix in first.inputs.items()},
        GRADIENTS: {name: (matrix[0], _like_vectors(matrix)) for name, matrix in first.gradients.items()},
    }

    def eigenvalues(batches: Batches) -> None:
        fit_eigenvalues(signals, batches, start, material.seed, basis, nothing)

    return of_first, timed(batches, smallest, eigenvalues).of(batches)


def _like_vectors(matrix: torch.Tensor) -> torch.Tensor:
    """A matrix of that shape whose products take as long as those of eigenvectors."""
    return torch.randn_like(matrix).div_(len(matrix) ** 0.5)
