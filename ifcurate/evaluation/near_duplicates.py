"""Find texts that are nearly the same: MinHash with banding (Broder 1997), and the exact Jaccard index to decide."""

from __future__ import annotations

import re
import unicodedata
import zlib

import numpy as np
from numpy.typing import NDArray

SHINGLE = 5
"""Characters of a shingle."""
BANDS, ROWS = 24, 4
"""At a Jaccard index of 0.7, a pair meets in at least one band with probability 0.998."""
SEED = 0x5EED
_PRIME = np.uint64((1 << 31) - 1)
_NOT_WORD = re.compile(r"\W+")


class NearDuplicates:
    """A growing collection of texts that answers whether it holds nearly the same one.

    Texts are compared without case, punctuation, accents' encoding and white space, as sets of shingles of `SHINGLE`
    characters; texts that are shorter match when they are equal.

    Args:
        threshold: Jaccard index from which on two texts are nearly the same.
    """

    def __init__(self, threshold: float = 0.8) -> None:
        self._threshold = threshold
        self._shingles: list[frozenset[int]] = []
        self._bands: dict[bytes, list[int]] = {}
        generator = np.random.default_rng(SEED)
        self._factors = generator.integers(1, int(_PRIME), (BANDS * ROWS, 1), dtype=np.uint64)
        self._offsets = generator.integers(0, int(_PRIME), (BANDS * ROWS, 1), dtype=np.uint64)

    def holds(self, text: str) -> bool:
        """Whether a text was added that is nearly the same as `text`."""
        shingles = _shingles(text)
        candidates = {index for band in self._band_keys(shingles) for index in self._bands.get(band, ())}
        return any(_jaccard(shingles, self._shingles[index]) >= self._threshold for index in candidates)

    def add(self, text: str) -> None:
        """Add `text`."""
        shingles = _shingles(text)
        for band in self._band_keys(shingles):
            self._bands.setdefault(band, []).append(len(self._shingles))
        self._shingles.append(shingles)

    def _band_keys(self, shingles: frozenset[int]) -> list[bytes]:
        hashes: NDArray[np.uint64] = np.fromiter(shingles, np.uint64, len(shingles)) % _PRIME
        smallest = ((self._factors * hashes + self._offsets) % _PRIME).min(axis=1).astype(np.uint32)
        return [bytes([band]) + smallest[band * ROWS : (band + 1) * ROWS].tobytes() for band in range(BANDS)]


def normalize(text: str) -> str:
    """`text` in lower case, compatibility characters unified, anything but letters and digits as one space."""
    return _NOT_WORD.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip()


def _shingles(text: str) -> frozenset[int]:
    plain = normalize(text) or text
    last = max(len(plain) - SHINGLE, 0)
    return frozenset(
        zlib.crc32(plain[first : first + SHINGLE].encode("utf-8", "surrogatepass")) for first in range(last + 1)
    )


def _jaccard(one: frozenset[int], other: frozenset[int]) -> float:
    return len(one & other) / len(one | other)
