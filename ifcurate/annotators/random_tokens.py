"""Tokens marked at random: what any other marks must be better than."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from ifcurate.annotators.base import Asked, Counts, Document, Marks, State, WithoutCounts

_BITS = 24
"""Of a float32, which holds every multiple of 2^-24 below 1."""


class RandomTokens(WithoutCounts):
    """Draws from a document's text and the seed alone: equal texts have equal marks, wherever they are."""

    @classmethod
    def prepare(cls, asked: Asked) -> State:
        """See `Annotator`."""
        return {"seed": asked.seed}

    def __init__(self, state: State, counts: Counts, asked: Asked) -> None:
        """See `Annotator`."""
        self._seed = int(state["seed"])

    def marks(self, documents: Sequence[Document]) -> Marks:
        """See `Annotator`."""
        return [self._drawn(document.text, len(document)) for document in documents]

    def _drawn(self, text: str, tokens: int) -> NDArray[np.float32]:
        key = self._seed.to_bytes(16, "little")
        digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16, key=key, person=b"marks").digest()
        bits = np.random.Philox(key=int.from_bytes(digest, "little")).random_raw(tokens) >> np.uint64(64 - _BITS)
        return bits.astype(np.float32) / np.float32(1 << _BITS)
