"""Factors fitted in two passes of our own, each forward and backward without any weight's gradient.

Several processes of a launch share out batches and matrices, and all of them have the factors then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from transformers import PreTrainedModel

from ifcurate.files import finishing_folder
from ifcurate.influence.curvature.covariances import Covariances
from ifcurate.influence.curvature.eigenbasis import Eigen, decompose
from ifcurate.influence.curvature.eigenvalues import CorrectedEigenvalues
from ifcurate.influence.curvature.factors import Factors, save_factors
from ifcurate.influence.curvature.sampled_labels import COVARIANCE_PASS, EIGENVALUE_PASS, random_numbers
from ifcurate.influence.curvature.signals import Signals
from ifcurate.model.ranks import ALONE, Ranks
from ifcurate.model.windows import Window, bucket_by_length, collate
from ifcurate.progress import counting, track

OnBatch = Callable[[int], None]
INPUTS, GRADIENTS = "inputs", "gradients"


def fit_factors(
    model: PreTrainedModel,
    windows: Sequence[Window],
    start: int,
    folder: Path,
    batch_tokens: int,
    seed: int,
    on_batch: OnBatch = lambda tokens: None,
    ranks: Ranks = ALONE,
) -> None:
    """Fit EK-FAC factors on `windows` and store them in `folder` in Kronfluence's files, whole or not at all.

    Args:
        model: in the dtype to fit in; its weights are frozen in place.
        windows: the sample; their order changes nothing but rounding.
        start: id of the start token.
        folder: becomes the factors' folder; must not exist.
        batch_tokens: most positions a batch, padding included.
        seed: of the labels sampled from the model.
        on_batch: called with the number of tokens of every batch of this process, twice in all for each token.
        ranks: this process's place in a launch, all of whose processes call this; the first one stores the factors.

    Raises:
        InputError: the model's outputs or its curvature are not finite, or the eigenvectors do not fit into memory.
    """
    factors = compute_factors(model, windows, start, batch_tokens, seed, on_batch, ranks)
    if ranks.first:
        with finishing_folder(folder) as part:
            save_factors(factors, part)
    ranks.wait()


def compute_factors(
    model: PreTrainedModel,
    windows: Sequence[Window],
    start: int,
    batch_tokens: int,
    seed: int,
    on_batch: OnBatch = lambda tokens: None,
    ranks: Ranks = ALONE,
) -> dict[str, Factors]:
    """The factors that `fit_factors` stores, by layer, on the model's device."""
    signals = Signals(model)
    groups = ranks.share(bucket_by_length([len(window) for window in windows], batch_tokens))
    batches = [[windows[index] for index in group] for group in groups]
    tokens = sum(len(window) for batch in batches for window in batch)
    with track("covariances", tokens) as tracker:
        covariances = fit_covariances(signals, batches, start, seed, counting(tracker, on_batch))
    covariances.join(ranks)
    basis = decompose_covariances(covariances, ranks)
    with track("eigenvalues", tokens) as tracker:
        eigenvalues = fit_eigenvalues(signals, batches, start, seed, basis, counting(tracker, on_batch))
    eigenvalues.join(ranks)
    factors = {}
    for layer, own in signals.layers.items():
        if layer not in eigenvalues.sums:
            continue  # of an expert that no token was sent to
        inputs, gradients = basis[INPUTS][own.first_reader], basis[GRADIENTS][layer]
        factors[layer] = Factors(
            inputs[1], gradients[1], inputs[0], gradients[0], eigenvalues.sums[layer], eigenvalues.windows
        )
    return factors


def fit_covariances(
    signals: Signals, batches: Sequence[Sequence[Window]], start: int, seed: int, on_batch: OnBatch
) -> Covariances:
    """The first pass over all batches."""
    covariances = Covariances(signals.layers)
    for windows in batches:
        batch = collate(windows, start).to(signals.device)
        numbers = random_numbers(windows, seed, COVARIANCE_PASS).to(signals.device)
        signals.run(batch, numbers, covariances.add)
        tokens = sum(len(window) for window in windows)
        covariances.tokens += tokens
        on_batch(tokens)
    return covariances


def decompose_covariances(covariances: Covariances, ranks: Ranks = ALONE) -> dict[str, dict[str, Eigen]]:
    """Eigenvalues and eigenvectors: of inputs by their first reader, of gradients by layer."""
    sums = {(INPUTS, name): matrix for name, matrix in covariances.inputs.items()}
    sums |= {(GRADIENTS, name): matrix for name, matrix in covariances.gradients.items()}
    largest_first = sorted(sums, key=lambda name: len(sums[name]), reverse=True)
    own = decompose({name: sums[name] for name in ranks.share(largest_first)}, covariances.tokens)
    found: dict[str, dict[str, Eigen]] = {INPUTS: {}, GRADIENTS: {}}
    for number, (kind, name) in enumerate(largest_first):
        matrix = sums[kind, name]
        eigen = own.get((kind, name)) or (matrix.new_empty(len(matrix)), torch.empty_like(matrix))
        values, vectors = ranks.spread(eigen, owner=number % ranks.count)
        found[kind][name] = values, vectors
    return found


def fit_eigenvalues(
    signals: Signals,
    batches: Sequence[Sequence[Window]],
    start: int,
    seed: int,
    basis: dict[str, dict[str, Eigen]],
    on_batch: OnBatch,
) -> CorrectedEigenvalues:
    """The second pass over all batches, with labels of its own."""
    vectors = {kind: {name: eigen[1] for name, eigen in found.items()} for kind, found in basis.items()}
    eigenvalues = CorrectedEigenvalues(signals.layers, vectors[INPUTS], vectors[GRADIENTS])
    for windows in batches:
        batch = collate(windows, start).to(signals.device)
        numbers = random_numbers(windows, seed, EIGENVALUE_PASS).to(signals.device)
        signals.run(batch, numbers, eigenvalues.add)
        eigenvalues.windows += len(windows)
        eigenvalues.forget()
        on_batch(sum(len(window) for window in windows))
    return eigenvalues
