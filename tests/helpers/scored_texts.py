"""Texts with made-up influence."""

from __future__ import annotations

import numpy as np

from ifcurate.report.scored_text import ScoredText
from ifcurate.selection.scores import ScoredTokens
from ifcurate.selection.spans import Ranges


def scored(text: str, *tokens: tuple[int, int, float], selected: list[bool] | None = None) -> ScoredText:
    """`text` with `tokens` (start, end, influence), without a heading."""
    starts, ends, influence = zip(*tokens, strict=True) if tokens else ((), (), ())
    values = ScoredTokens(Ranges.of_document(starts, ends), np.array(influence, np.float32))
    return ScoredText((), text, values, None if selected is None else np.array(selected, bool))
