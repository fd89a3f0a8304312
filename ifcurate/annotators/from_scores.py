"""Annotators over the scores of other runs, which read neither texts nor a model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ifcurate.annotators.base import Asked, Counts, Document, Marks, State, WithoutCounts
from ifcurate.annotators.ranks import RankTable, write_ranks
from ifcurate.errors import InputError


class FromScores(WithoutCounts):
    """Base of annotators that are made of the scores of other runs, told by a hash of these."""

    @classmethod
    def prepare(cls, asked: Asked) -> State:
        """See `Annotator`."""
        return {"of": [{"run": scored.root, "scores": scored.scores_hash} for scored in asked.of]}

    def __init__(self, state: State, counts: Counts, asked: Asked) -> None:
        """See `Annotator`."""


class InfluenceDocuments(FromScores):
    """The sum of a document's scores, on each of its tokens."""

    @classmethod
    def prepare(cls, asked: Asked) -> State:
        """See `Annotator`."""
        if len(asked.of) != 1:
            raise InputError(f"option --of: {len(asked.of)} runs are given, and documents are of one; give one.")
        return super().prepare(asked)

    def marks(self, documents: Sequence[Document]) -> Marks:
        """See `Annotator`."""
        return [np.full(len(document), document.scores[0].sum(dtype=np.float64), np.float32) for document in documents]


class Fuse(FromScores):
    """The mean over runs of a token's rank among all tokens of the corpus: 0 below the lowest, 1 above the highest."""

    @classmethod
    def prepare(cls, asked: Asked) -> State:
        """See `Annotator`."""
        if len(asked.of) < 2:
            raise InputError("option --of: one run alone has nothing to be fused with; give two or more.")
        return super().prepare(asked)

    @classmethod
    def keep(cls, asked: Asked) -> None:
        """See `Annotator`."""
        for number, scored in enumerate(asked.of):
            write_ranks([path for _, path in scored.sidecars], scored.behaviour, asked.folder / f"ranks-{number}")

    def __init__(self, state: State, counts: Counts, asked: Asked) -> None:
        """See `Annotator`."""
        self._ranks = [RankTable.load(asked.folder / f"ranks-{number}") for number in range(len(asked.of))]

    def marks(self, documents: Sequence[Document]) -> Marks:
        """See `Annotator`."""
        return [
            np.mean(
                [ranks.of(scores) for ranks, scores in zip(self._ranks, document.scores, strict=True)], axis=0
            ).astype(np.float32)
            for document in documents
        ]


class DDA(FromScores):
    """Debias and denoise (Wu et al. 2024): what training has taught a model of a token, whatever it knew before.

    Debias: the values of the model before it was trained are taken away. Denoise: those of several checkpoints are
    averaged, as each of them fits some of the corpus better than the rest. Both are of raw values, beta = 1.
    """

    def marks(self, documents: Sequence[Document]) -> Marks:
        """See `Annotator`."""
        return [
            (np.mean(document.scores[:-1], axis=0, dtype=np.float64) - document.scores[-1]).astype(np.float32)
            for document in documents
        ]
