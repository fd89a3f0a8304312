"""How exactly influence is stored: all bits of a float32, or as many as a smaller format has, with float32's range."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Precision = Literal["float32", "float16", "bfloat16"]
SIGNIFICANT_BITS: dict[Precision, int] = {"float32": 24, "float16": 11, "bfloat16": 8}
"""Each value is off by at most 2^-(bits) of itself."""


def rounded(values: NDArray[np.float32], precision: Precision) -> NDArray[np.float32]:
    """`values` (float32, finite) rounded to the nearest that have no more significant bits, ties to even.

    The others are zeros, which take no room once compressed. Exponents stay float32's, so that no unit is too small or
    too large; what rounds beyond float32's range becomes infinite.
    """
    dropped = SIGNIFICANT_BITS["float32"] - SIGNIFICANT_BITS[precision]
    if dropped == 0:
        return values
    bits = values.view(np.uint32)
    last_kept = (bits >> dropped) & 1
    half = np.uint32((1 << (dropped - 1)) - 1)
    kept = (bits + half + last_kept) & ~np.uint32((1 << dropped) - 1)
    return kept.astype(np.uint32, copy=False).view(np.float32)
