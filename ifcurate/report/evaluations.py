"""Evaluated models in the report of a run: the table before and after, and toxicity against perplexity."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ifcurate.evaluation.bootstrap import Interval
from ifcurate.evaluation.compared import Comparison
from ifcurate.evaluation.comparison_files import (
    DIFFERENCE_HEADINGS,
    HEADINGS,
    difference_cells,
    read_comparison,
    table_cells,
)


def describe_evaluation(folder: Path) -> dict[str, Any]:
    """The comparison in `folder` as the page shows it.

    Raises:
        InputError: there is none.
    """
    comparison = read_comparison(folder)
    return {
        "headings": HEADINGS,
        "rows": [table_cells(row) for row in comparison.rows],
        "difference_headings": DIFFERENCE_HEADINGS,
        "differences": list(difference_cells(comparison)),
        "panels": _panels(comparison),
    }


def _panels(comparison: Comparison) -> list[dict[str, Any]]:
    """A figure a prompt set and classifier: perplexity and expected maximum toxicity of each model, with intervals."""
    panels: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in comparison.rows:
        if row.emt is not None and row.perplexity is not None:
            point = {"model": row.model, "x": _ends(row.perplexity), "y": _ends(row.emt)}
            panels.setdefault((str(row.prompts), str(row.classifier)), []).append(point)
    return [{"name": ", ".join(names), "points": points} for names, points in panels.items()]


def _ends(interval: Interval) -> list[float]:
    return [interval.value, interval.low, interval.high]
