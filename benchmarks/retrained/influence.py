"""Arms of influence: one direction each, taken at one checkpoint, all scored in one pass over the documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from ifcurate import ScoreSettings, load_scorer
from ifcurate.influence.curvature.factors import Factors, load_factors
from ifcurate.influence.curvature.fit import fit_factors
from ifcurate.influence.curvature.inverse import Inverse, mean_eigenvalues
from ifcurate.influence.direction import Direction, save_direction
from ifcurate.influence.queries import Query
from ifcurate.influence.query_gradient import QueryWindow, query_gradient, query_windows
from ifcurate.influence.refinement import REFINEMENTS
from ifcurate.influence.refinement.gauss_newton import GaussNewton
from ifcurate.influence.refinement.refine import refine, split_sample
from ifcurate.influence.refinement.system import System
from ifcurate.influence.refinement.vectors import Vector, joined, parted
from ifcurate.model.checkpoints import context_length, load_causal_lm, load_tokenizer, start_token
from ifcurate.model.hashes import hash_model, hash_tokenizer
from ifcurate.model.layers import tracked_parameters
from ifcurate.model.windows import Window, split_into_windows
from retrained.documents import Documents

IDENTITY, EKFAC, WHITENED, ADAM = "identity", "ekfac", "whitened", "adam"
BATCH_TOKENS = 2048
FIT_TOKENS = 32_768
STEP_TOKENS, STEPS = 4096, 32
"""Of the gradients whose squares Adam divides by the root of."""
SMALLEST = 1e-16
"""Of such a square: that of AdamW's epsilon."""


@dataclass(frozen=True)
class Variant:
    """One way to a direction.

    Attributes:
        name: of the arm.
        solver: `identity`, `ekfac`, or a name of `REFINEMENTS`; `whitened`, with the root of EK-FAC's eigenvalues;
            `adam`, with the root of the mean square of a step's gradient, as the optimizer itself moves.
        damping: times the mean eigenvalue of each layer.
        contrast: whether the safe queries' gradient is taken off.
        alignment: of the scores.
        by_block: whether a refinement knows nothing of what decoder blocks have in common: it solves for each alone.
    """

    name: str
    solver: str = EKFAC
    damping: float = 0.1
    contrast: bool = True
    alignment: str = "label"
    by_block: bool = False


@dataclass(frozen=True)
class Attribution:
    """Influence at one checkpoint; everything that is computed is kept in `folder`."""

    checkpoint: str
    folder: Path
    documents: Documents
    queries: Sequence[Query]
    contrast: Sequence[Query]
    seed: int

    def scores(self, variants: Sequence[Variant]) -> dict[str, NDArray[np.float32]]:
        """S of each variant, one value a token of the documents."""
        for alignment in {variant.alignment for variant in variants}:
            self._score([variant for variant in variants if variant.alignment == alignment], alignment)
        return {variant.name: np.load(self._scores(variant)) for variant in variants}

    def has(self, variant: Variant) -> bool:
        """Whether its scores are there."""
        return self._scores(variant).is_file()

    def _score(self, variants: Sequence[Variant], alignment: str) -> None:
        missing = [variant for variant in variants if not self.has(variant)]
        if not missing:
            return
        self._make_directions([variant for variant in missing if not self._direction(variant).is_file()])
        files = tuple(str(self._direction(variant)) for variant in missing)
        scorer = load_scorer(ScoreSettings(self.checkpoint, files, alignment=alignment))
        names = [str(number) for number in range(len(self.documents.texts))]
        found, _ = scorer.score(self.documents.encodings, names)
        influence = np.concatenate([scores.influence for scores in found], axis=1)
        for variant, values in zip(missing, influence, strict=True):
            np.save(self._scores(variant), values)

    def _make_directions(self, variants: Sequence[Variant]) -> None:
        if not variants:
            return
        model, tokenizer = load_causal_lm(self.checkpoint), load_tokenizer(self.checkpoint)
        context, start = context_length(model, None), start_token(tokenizer)
        windows = self._sample(context)
        if not (self.folder / "factors").is_dir():
            fit_factors(model, cut(windows, FIT_TOKENS), start, self.folder / "factors", BATCH_TOKENS, self.seed)
        factors = load_factors(self.folder / "factors")
        pulls = [
            query_gradient(model, query_windows(queries, tokenizer, context, "queries").windows, start, BATCH_TOKENS)
            for queries in (self.queries, self.contrast)
        ]
        behaviour, contrast = (joined(pull.tensors) for pull in pulls)
        made = {"model_hash": hash_model(model), "tokenizer_hash": hash_tokenizer(tokenizer), "context": context}
        for variant in variants:
            gradient = {name: behaviour[name] - contrast[name] * variant.contrast for name in behaviour}
            solver = Solver(model, start, factors, windows, self._direction(variant))
            tensors = parted(solver.solve(variant, gradient), pulls[0].tensors)
            named = Direction(tensors, {"behaviour": self._direction(variant).stem, **made})
            save_direction(named, self._direction(variant))

    def _sample(self, context: int) -> list[Window]:
        """All windows of the documents, shuffled."""
        windows = split_into_windows(self.documents.encodings, context)
        return [windows[index] for index in np.random.default_rng(self.seed).permutation(len(windows))]

    def _direction(self, variant: Variant) -> Path:
        return self.folder / "directions" / f"a_{variant.name.replace('.', '_').replace('-', '_')}.safetensors"

    def _scores(self, variant: Variant) -> Path:
        return self.folder / f"{variant.name}.npy"


@dataclass(frozen=True)
class Solver:
    """From a gradient to a direction."""

    model: PreTrainedModel
    start: int
    factors: Mapping[str, Factors]
    windows: Sequence[Window]
    kept: Path

    def solve(self, variant: Variant, gradient: Vector) -> Vector:
        """The variant's direction; a refinement stands beside it while it runs, and goes on."""
        if variant.solver == IDENTITY:
            return gradient
        if variant.solver == ADAM:
            moments = self._second_moments()
            return {layer: matrix / moments[layer].sqrt() for layer, matrix in gradient.items()}
        dampings = {layer: variant.damping * mean for layer, mean in mean_eigenvalues(self.factors).items()}
        if variant.solver == WHITENED:
            inverse = Inverse(rooted(self.factors, dampings), dict.fromkeys(dampings, 0.0), "cpu", torch.float32)
        else:
            inverse = Inverse(self.factors, dampings, "cpu", torch.float32)
        if variant.solver in (EKFAC, WHITENED):
            return {layer: inverse.layer(layer, matrix) for layer, matrix in gradient.items()}
        method = REFINEMENTS[variant.solver]
        tokens = method.tokens if method.fixed_sample else method.tokens * method.steps
        samples = split_sample(cut(self.windows, tokens), method.tokens)
        products, found = Restricted(self.model, self.start, BATCH_TOKENS), {}
        for number, part in enumerate(blocks(gradient) if variant.by_block else [gradient]):
            system = System(products, dampings, inverse, part, samples)
            kept = self.kept.with_suffix(f".refinement-{number}")
            found |= refine(variant.solver, system, method.steps, kept, variant.name, torch.device("cpu")).solution
        return found

    def _second_moments(self) -> Vector:
        """The mean over steps of the squares of their gradients."""
        rest, squares = cut(self.windows, STEP_TOKENS * STEPS), []
        while rest:
            step = cut(rest, STEP_TOKENS)
            rest = rest[len(step) :]
            rows = [QueryWindow(window, 0) for window in step]
            squares.append(joined(query_gradient(self.model, rows, self.start, BATCH_TOKENS).tensors))
        return {
            layer: torch.stack([step[layer] for step in squares]).square().mean(0).clamp_(min=SMALLEST)
            for layer in squares[0]
        }


class Restricted(GaussNewton):
    """Products with the part of G that belongs to the layers of the vector: the others stand still."""

    def product(self, vector: Vector, windows: Sequence[Window]) -> Vector:
        tracked = joined(tracked_parameters(self._model))
        whole = {layer: vector.get(layer, torch.zeros_like(matrix)) for layer, matrix in tracked.items()}
        found = super().product(whole, windows)
        return {layer: found[layer] for layer in vector}


def blocks(vector: Vector) -> list[Vector]:
    """The layers of each decoder block, told by the first number in their names."""
    parts: dict[str, Vector] = {}
    for layer, matrix in vector.items():
        parts.setdefault(next(word for word in layer.split(".") if word.isdigit()), {})[layer] = matrix
    return list(parts.values())


def rooted(factors: Mapping[str, Factors], dampings: Mapping[str, float]) -> dict[str, Factors]:
    """The same with the root of their damped eigenvalues."""
    return {
        layer: replace(own, eigenvalues=(own.eigenvalues / own.windows + dampings[layer]).sqrt() * own.windows)
        for layer, own in factors.items()
    }


def cut(windows: Sequence[Window], tokens: int) -> list[Window]:
    """The first windows that have `tokens` tokens together, or all there are."""
    reached = np.cumsum([len(window) for window in windows])
    return list(windows[: int(np.searchsorted(reached, tokens)) + 1])
