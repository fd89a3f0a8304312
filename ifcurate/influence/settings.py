"""What decides a score: the settings of scoring, without importing anything that computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ScoreSettings:
    """What decides a score, all of it: equal settings give equal scores.

    Args:
        model: folder or Hub id.
        directions: files of the directions to score along.
        revision: of a Hub id.
        context: tokens a window; default: the model's, capped at 2,048.
        engine: `auto` is the fastest exact one for alignment, dtype and device.
        alignment: `label`: a token's score is the derivative of its own loss.
        device: `auto`: a GPU where there is one.
        dtype: `auto`: bfloat16 for forward mode on a GPU, else float32.
        batch_tokens: positions a batch, padding included; default: what fits into memory.
        threads: CPU threads of this process.
        steps: relative finite-difference steps, one a direction; default: found on the first documents.
    """

    model: str
    directions: tuple[str, ...]
    revision: str | None = None
    context: int | None = None
    engine: Literal["auto", "finite-difference", "one-sided", "jvp", "compiled-jvp", "kronfluence"] = "auto"
    alignment: Literal["label", "position"] = "label"
    device: str = "auto"
    dtype: Literal["auto", "float32", "bfloat16", "float64"] = "auto"
    batch_tokens: int | None = None
    threads: int = 1
    steps: tuple[float, ...] | None = None
