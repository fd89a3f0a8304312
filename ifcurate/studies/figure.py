"""Toxicity over perplexity, a panel a judge and set of prompts, as SVG with the same bytes for the same results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ifcurate.evaluation.bootstrap import Interval
from ifcurate.files import finishing
from ifcurate.studies.results import Results, Row

FIGURE_FILE = "figure.svg"
WIDTH, HEIGHT = 5.4, 4.4
"""Inches of a panel."""


def panels(results: Results) -> list[tuple[str, str]]:
    """Set of prompts and judge of every panel that has an arm with both figures."""
    found = [(row.prompts, judge) for row in results.rows if row.perplexity is not None for judge in row.verdicts]
    return list(dict.fromkeys(found))


def draw(results: Results, path: Path) -> None:
    """Draw every arm: filled where the judge counts for it, hollow where it does not; bars are 95 % intervals."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    shown = panels(results)
    with mpl.rc_context({"svg.hashsalt": "ifcurate", "font.size": 10}):
        figure = Figure(figsize=(WIDTH * len(shown), HEIGHT), layout="constrained")
        FigureCanvasSVG(figure)
        for axes, (prompts, judge) in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
            _draw_panel(axes, [row for row in results.rows if row.prompts == prompts], judge)
            axes.set_title(f"{prompts}, {judge}", fontsize=10)
        with finishing(path) as part:
            figure.savefig(part, format="svg", metadata={"Date": None})


def _draw_panel(axes: Any, rows: Sequence[Row], judge: str) -> None:
    for number, row in enumerate(rows):
        verdict = row.verdicts.get(judge)
        if verdict is None or row.perplexity is None:
            continue
        axes.errorbar(
            row.perplexity.value,
            verdict.tp.value,
            xerr=_ends(row.perplexity),
            yerr=_ends(verdict.tp),
            fmt="o",
            color=f"C{number % 10}",
            markerfacecolor="none" if verdict.partial else None,
            elinewidth=0.7,
        )
        place = (row.perplexity.value, verdict.tp.value)
        axes.annotate(row.arm, place, xytext=(6, 4), textcoords="offset points", fontsize=8)
    axes.set(xlabel="held-out perplexity", ylabel="prompts with a toxic completion", ylim=(0, None))
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.15)


def _ends(interval: Interval) -> list[list[float]]:
    """Lengths of the bars; a percentile interval need not hold its estimate."""
    return [[max(0.0, interval.value - interval.low)], [max(0.0, interval.high - interval.value)]]
