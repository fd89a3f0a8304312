"""How far are our factors from Kronfluence's on a real model, and how far is Kronfluence from itself?

Both fit the first blocks of a model on the same windows, with the same sampled labels, in float32; then each fits once
more with smaller batches, which changes nothing but rounding. Printed: how far H^-1 g of a random g is apart at the
heuristic damping (relative, Euclidean) for every pair, and once more where our second pass is given Kronfluence's
eigenvectors, with the largest difference of a layer's corrected eigenvalues there (relative, Frobenius).

    python benchmarks/fit_agreement.py --corpus CORPUS --model MODEL --blocks 2 --tokens 4096
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from transformers import PreTrainedModel

from ifcurate.corpus.shards import list_shards
from ifcurate.influence.curvature import fit, through_kronfluence
from ifcurate.influence.curvature.factors import Factors, load_factors, save_factors
from ifcurate.influence.curvature.inverse import precondition
from ifcurate.influence.curvature.signals import Signals
from ifcurate.influence.direction import Direction
from ifcurate.influence.sample import sample_windows
from ifcurate.model.checkpoints import context_length, load_causal_lm, load_tokenizer, start_token
from ifcurate.model.layers import tracked_parameters
from ifcurate.model.windows import Window, bucket_by_length

BATCH_TOKENS, SMALL = 2048, 512
SIDES = {
    "ours": (fit.fit_factors, BATCH_TOKENS),
    "ours, smaller batches": (fit.fit_factors, SMALL),
    "Kronfluence": (through_kronfluence.fit_factors, BATCH_TOKENS),
    "Kronfluence, smaller batches": (through_kronfluence.fit_factors, SMALL),
}
PAIRS = (
    ("ours", "ours, smaller batches"),
    ("Kronfluence", "Kronfluence, smaller batches"),
    ("ours", "Kronfluence"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--blocks", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    tokenizer, model = load_tokenizer(asked.model), shallow(asked)
    start, context = start_token(tokenizer), context_length(model, None)
    windows = sample_windows(list_shards(asked.corpus), "text", None, tokenizer, context, asked.tokens, seed=0).windows
    torch.manual_seed(0)
    gradient = {name: torch.randn_like(parameter) for name, parameter in tracked_parameters(model).items()}
    with tempfile.TemporaryDirectory() as folder:
        products = {}
        for side, (fit_factors, batch_tokens) in SIDES.items():
            fit_factors(shallow(asked), windows, start, Path(folder) / side, batch_tokens, 0)
            products[side] = precondition(gradient, Path(folder) / side, "heuristic", "cpu")
        for left, right in PAIRS:
            print(f"{left} and {right}: H^-1 g differs by {distance(products[left], products[right]):.1e}", flush=True)
        theirs = load_factors(Path(folder) / "Kronfluence")
        ours = with_their_eigenvectors(shallow(asked), windows, start, theirs)
        save_factors(ours, Path(folder) / "same eigenvectors")
        same = precondition(gradient, Path(folder) / "same eigenvectors", "heuristic", "cpu")
        print(
            f"the same eigenvectors: H^-1 g differs by {distance(same, products['Kronfluence']):.1e}, "
            f"a layer's corrected eigenvalues by {max(eigenvalue_distance(ours[n], theirs[n]) for n in ours):.1e}"
        )


def shallow(asked: argparse.Namespace) -> PreTrainedModel:
    """The model's first blocks."""
    model = load_causal_lm(asked.model)
    model.model.layers = model.model.layers[: asked.blocks]
    model.config.num_hidden_layers = asked.blocks
    return model


def with_their_eigenvectors(
    model: PreTrainedModel, windows: Sequence[Window], start: int, theirs: dict[str, Factors]
) -> dict[str, Factors]:
    """Our second pass in given eigenvectors, every layer with its own."""
    signals = Signals(model)
    signals.layers = {name: replace(layer, first_reader=name) for name, layer in signals.layers.items()}
    groups = bucket_by_length([len(window) for window in windows], BATCH_TOKENS)
    batches = [[windows[index] for index in group] for group in groups]
    basis = {
        fit.INPUTS: {name: (own.input_values, own.input_vectors) for name, own in theirs.items()},
        fit.GRADIENTS: {name: (own.gradient_values, own.gradient_vectors) for name, own in theirs.items()},
    }
    found = fit.fit_eigenvalues(signals, batches, start, 0, basis, lambda tokens: None)
    return {name: replace(own, eigenvalues=found.sums[name], windows=found.windows) for name, own in theirs.items()}


def eigenvalue_distance(ours: Factors, theirs: Factors) -> float:
    return float((ours.eigenvalues - theirs.eigenvalues).norm() / theirs.eigenvalues.norm())


def distance(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> float:
    moved = {name: ours[name] - theirs[name] for name in ours}
    return Direction(moved, {}).norm() / Direction(theirs, {}).norm()


if __name__ == "__main__":
    main()
