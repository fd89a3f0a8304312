"""Numbers beside the tokens of the stream, where a mask alone does not say them: losses of a reference, own lambdas."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ifcurate.annotation.reader import AnnotatedCorpus, MarkedDocument
from ifcurate.errors import InputError

LOSS_WEIGHTS = "loss_weights"
REFERENCE_LOSSES = "reference_losses"


@dataclass(frozen=True)
class TokenColumn:
    """A float32 beside every token.

    Attributes:
        name: its key in a packed row.
        of: its values for a document, float32 [tokens].
        at_delimiters: its value at the tokens that the stream puts around documents.
    """

    name: str
    of: Callable[[MarkedDocument], NDArray[np.float32]]
    at_delimiters: float


def stored_losses(document: MarkedDocument) -> NDArray[np.float32]:
    """The losses that were stored when the document was annotated."""
    assert document.losses is not None
    return document.losses


STORED_LOSSES = TokenColumn(REFERENCE_LOSSES, stored_losses, 0.0)
"""Delimiters are never marked, so that nothing is ever compared with theirs."""


def influence_weights(corpus: AnnotatedCorpus, penalties: Sequence[float]) -> TokenColumn:
    """Weights with a lambda of its own for every marked token, proportional to how strongly it was selected.

    The mean lambda of the tokens that a behaviour marks is the behaviour's; a token with several marks gets the
    largest of its lambdas. Reads the whole corpus for the mean.

    Args:
        corpus: with strengths; it is read to its end.
        penalties: lambda of each of its behaviours.

    Raises:
        InputError: a behaviour marks no token, or none of positive influence; see `AnnotatedCorpus`.
    """
    sums, counts = np.zeros(len(penalties)), np.zeros(len(penalties))
    bits = np.arange(len(penalties), dtype=np.uint8)[:, None]
    for document in corpus.documents():
        assert document.strengths is not None
        sums += document.strengths.sum(axis=1, dtype=np.float64)
        counts += (document.marks >> bits & 1).sum(axis=1)
    corpus.require_marks()
    for behaviour, total in zip(corpus.behaviours, sums, strict=True):
        if total <= 0:
            raise InputError(
                f"{corpus.source}: no token that {behaviour!r} marks has a positive influence, to which lambdas could "
                "be proportional; select with a higher quantile, or leave out --penalty-weights."
            )
    factors = np.asarray(penalties) * counts / sums

    def weights(document: MarkedDocument) -> NDArray[np.float32]:
        assert document.strengths is not None
        lambdas = (document.strengths * factors[:, None]).max(axis=0)
        return np.where(document.marks > 0, -lambdas, 1.0).astype(np.float32)

    return TokenColumn(LOSS_WEIGHTS, weights, 1.0)
