"""GPUs by name: what their makers publish, and the share of it that is assumed to be reached.

Nothing here was measured by us. Whatever time is planned with it says so.
"""

from __future__ import annotations

from dataclasses import dataclass

TERA = 1e12
GIGABYTE = 10**9
REACHED = {"bfloat16": 0.4, "float32": 0.5, "float64": 0.02}
"""Of the peak: matrix products in bfloat16 as large training runs report them; in float32 without tensor cores; and
symmetric eigenproblems in float64, which are bound by memory."""


@dataclass(frozen=True)
class Gpu:
    """Published peaks, dense, in floating-point operations a second (a multiplication and an addition are two).

    Attributes:
        name: in full.
        memory: bytes.
        bfloat16: of tensor cores.
        float32: without them, as they would round to TF32.
        float64: without them.
    """

    name: str
    memory: int
    bfloat16: float
    float32: float
    float64: float

    def seconds(self, multiplications: float, dtype: str) -> float:
        """That so many multiplications, with an addition each, are assumed to take."""
        return 2 * multiplications / (REACHED[dtype] * float(getattr(self, dtype)))


GPUS = {
    "a100": Gpu("NVIDIA A100 SXM 80 GB", 80 * GIGABYTE, 312 * TERA, 19.5 * TERA, 9.7 * TERA),
    "h100": Gpu("NVIDIA H100 SXM 80 GB", 80 * GIGABYTE, 989 * TERA, 67 * TERA, 34 * TERA),
    "h200": Gpu("NVIDIA H200 SXM 141 GB", 141 * GIGABYTE, 989 * TERA, 67 * TERA, 34 * TERA),
    "l4": Gpu("NVIDIA L4 24 GB", 24 * GIGABYTE, 121 * TERA, 30.3 * TERA, 0.47 * TERA),
    "l40s": Gpu("NVIDIA L40S 48 GB", 48 * GIGABYTE, 362 * TERA, 91.6 * TERA, 1.43 * TERA),
}
"""By the name that options give. Data sheets of the maker; tensor cores without sparsity."""
