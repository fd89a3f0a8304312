"""Learning a screen, and what it finds in documents that it has not learnt from."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ifcurate.corpus.text_hash import TextHash
from ifcurate.errors import InputError
from ifcurate.screening.curve import Curve, recall_curve
from ifcurate.screening.examples import Examples
from ifcurate.screening.features import Features, Linear, Matrix
from ifcurate.selection.spans import Ints

FOLDS = 5
"""Parts of the documents, by a hash of their texts; each is screened by what was learnt from the others."""


@dataclass(frozen=True)
class Learnt:
    """A linear function of features, and what is known of it.

    Attributes:
        linear: learnt from all documents.
        curve: recall against share, of documents that were not learnt from.
        documents: how many there were.
        tokens: theirs.
        selected: those of them that were selected.
        texts: hash of the texts, see `TextHash`.
    """

    linear: Linear
    curve: Curve
    documents: int
    tokens: int
    selected: int
    texts: str


def learn(features: Features, examples: Examples, folder: Path, seed: int = 0) -> Learnt:
    """Fit `features` to the selected share of every document.

    Args:
        features: what is seen of a text.
        examples: the documents.
        folder: empty; for features of the documents, which need not fit into memory.
        seed: of the order in which documents are learnt from.

    Raises:
        InputError: nothing was selected, or documents cannot be read.
    """
    seen, texts = _Seen(folder), TextHash()
    for batch in examples.batches():
        texts.add(batch.texts)
        folds = np.array([fold_of(text) for text in batch.texts])
        seen.add(features.of(batch.texts), batch.targets, folds)
        seen.tokens.append(batch.tokens)
        seen.selected.append(batch.selected)
    tokens, selected = (np.concatenate([np.zeros(0, np.int64), *counts]) for counts in (seen.tokens, seen.selected))
    if not selected.any():
        raise InputError(
            f"{examples.selection}: nothing was selected of {len(selected):,} documents, so there is nothing to learn; "
            "score more of the corpus."
        )
    scores = _held_out(features, seen, seed)
    linear = features.fit(partial(seen.batches, set(range(FOLDS))), seed)
    return Learnt(
        linear=linear,
        curve=recall_curve(scores, tokens, selected),
        documents=len(tokens),
        tokens=int(tokens.sum()),
        selected=int(selected.sum()),
        texts=texts.hexdigest(),
    )


def fold_of(text: str) -> int:
    """The part that a text is in; copies of it are in the same."""
    return sha256(text.encode("utf-8", "surrogatepass")).digest()[0] % FOLDS


def _held_out(features: Features, seen: _Seen, seed: int) -> NDArray[np.float32]:
    """float32 [documents]: what is said of each by that which was learnt from the other folds."""
    of_document = np.concatenate(seen.folds)
    scores = np.zeros(len(of_document), np.float32)
    for fold in np.unique(of_document):
        others = set(range(FOLDS)) - {int(fold)}
        linear = features.fit(partial(seen.batches, others), seed)
        scores[of_document == fold] = np.concatenate([linear.of(matrix) for matrix, _ in seen.batches({int(fold)})])
    return scores


@dataclass
class _Seen:
    """Features of documents on disk, and their targets, batch by batch."""

    folder: Path
    targets: list[NDArray[np.float64]] = field(default_factory=list)
    folds: list[NDArray[np.int64]] = field(default_factory=list)
    tokens: list[Ints] = field(default_factory=list)
    selected: list[Ints] = field(default_factory=list)

    def add(self, features: Matrix, targets: NDArray[np.float64], folds: NDArray[np.int64]) -> None:
        place = self.folder / f"{len(self.targets)}"
        if isinstance(features, np.ndarray):
            np.save(place.with_suffix(".npy"), features)
        else:
            from scipy.sparse import save_npz

            save_npz(place.with_suffix(".npz"), features, compressed=False)
        self.targets.append(targets)
        self.folds.append(folds)

    def batches(self, chosen: Collection[int]) -> Iterator[tuple[Matrix, NDArray[np.float64]]]:
        """Features and targets of the documents in the `chosen` folds; batches without one are left out."""
        for number, (targets, folds) in enumerate(zip(self.targets, self.folds, strict=True)):
            rows = np.flatnonzero(np.isin(folds, list(chosen)))
            if len(rows):
                yield self._load(number)[rows], targets[rows]

    def _load(self, number: int) -> Matrix:
        place = self.folder / f"{number}"
        if place.with_suffix(".npy").is_file():
            return np.load(place.with_suffix(".npy"))
        from scipy.sparse import load_npz

        return load_npz(place.with_suffix(".npz"))
