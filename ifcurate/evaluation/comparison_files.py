"""A comparison as JSON, CSV, Markdown and a figure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ifcurate.errors import InputError
from ifcurate.evaluation.bootstrap import Interval
from ifcurate.evaluation.compared import Comparison, Row
from ifcurate.evaluation.folders import COMPARISON_FILE
from ifcurate.files import finishing, write_text

INTERVALS = ("emt", "tp", "perplexity", "bits_per_byte", "word_accuracy", "token_accuracy")
SHARES = ("empty_share", "toxic_share", "repeated_share")
HEADINGS = (
    "model",
    "prompts",
    "classifier",
    "EMT",
    "TP",
    "min tokens",
    "empty %",
    "toxic %",
    "repeated %",
    "perplexity",
    "bits/byte",
    "LAMBADA word",
    "LAMBADA token",
    "trade-off",
)
DIFFERENCE_HEADINGS = ("model", "minus", "prompts", "classifier", "subset", "count", "ΔEMT", "ΔTP")
NOTHING = "-"

_FORMAT = TypeAdapter(Comparison)


def write_comparison(comparison: Comparison, folder: Path) -> list[Path]:
    """Write `comparison.json`, `.csv` and `.md` into `folder`; returns their paths."""
    stem = (folder / COMPARISON_FILE).with_suffix("")
    contents = {
        ".json": _FORMAT.dump_json(comparison, indent=2).decode() + "\n",
        ".csv": _csv(comparison.rows),
        ".md": markdown(comparison),
    }
    for suffix, text in contents.items():
        write_text(stem.with_suffix(suffix), text)
    return [stem.with_suffix(suffix) for suffix in contents]


def read_comparison(folder: Path) -> Comparison:
    """What `write_comparison` wrote into `folder`.

    Raises:
        InputError: there is none, or it is something else.
    """
    file = folder / COMPARISON_FILE
    try:
        return _FORMAT.validate_json(file.read_bytes())
    except (OSError, ValidationError) as error:
        raise InputError(
            f"{file}: holds no comparison of models; give a folder that `ifcurate eval all` or `eval compare` wrote."
        ) from error


def table_cells(row: Row) -> list[str]:
    """One row of the main table as text, under `HEADINGS`; intervals as `value [low, high]`."""
    accuracies = (percent(row.word_accuracy), percent(row.token_accuracy))
    toxicity = (number(row.emt, 3), number(row.tp, 3))
    least = NOTHING if row.min_new_tokens is None else str(row.min_new_tokens)
    shares = [share(getattr(row, name)) for name in SHARES]
    fluency = (number(row.perplexity, 2), number(row.bits_per_byte, 3))
    ratio = NOTHING if row.trade_off is None else f"{row.trade_off:.3f}"
    return [
        row.model,
        row.prompts or NOTHING,
        row.classifier or NOTHING,
        *toxicity,
        least,
        *shares,
        *fluency,
        *accuracies,
        ratio,
    ]


def difference_cells(comparison: Comparison) -> Iterator[list[str]]:
    """Rows of the table of differences as text, under `DIFFERENCE_HEADINGS`; sub-types are in the JSON only."""
    for each in filter(lambda difference: difference.counts, comparison.differences):
        measured = each.measurement
        yield [
            each.model,
            each.baseline,
            each.prompts,
            each.classifier,
            measured.subset,
            f"{measured.prompts:,}",
            number(measured.emt, 3, "+"),
            number(measured.tp, 3, "+"),
        ]


def number(interval: Interval | None, digits: int, sign: str = "") -> str:
    """`value [low, high]`, or `NOTHING`."""
    if interval is None:
        return NOTHING
    value, low, high = (f"{x:{sign}.{digits}f}" for x in (interval.value, interval.low, interval.high))
    return f"{value} [{low}, {high}]"


def share(value: float | None) -> str:
    """A share in per cent."""
    return NOTHING if value is None else f"{100 * value:.1f}"


def percent(interval: Interval | None) -> str:
    """An interval of shares, in per cent."""
    return NOTHING if interval is None else number(interval.map(lambda share: 100 * share), 1)


def markdown(comparison: Comparison) -> str:
    """Both tables in Markdown."""
    parts = [_markdown_table(HEADINGS, [table_cells(row) for row in comparison.rows])]
    if comparison.differences:
        parts.append(_markdown_table(DIFFERENCE_HEADINGS, list(difference_cells(comparison))))
    note = (
        "Values with bootstrap 95 % intervals over prompts, documents or passages. LAMBADA in per cent. "
        "Empty: completions without text; toxic: of the others; repeated: 4-grams of words that came before in "
        "the same completion; min tokens: so many first tokens could not be the end. "
        "Trade-off: accuracy on LAMBADA's last token over the mean of EMT and TP. Differences are paired by prompt.\n"
    )
    return "\n".join([*parts, note])


def draw_comparison(comparison: Comparison, path: Path) -> None:
    """Toxicity (EMT) against perplexity, one panel a prompt set and classifier, with 95 % intervals, as PNG.

    Raises:
        InputError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError(
            "the figure needs matplotlib; run `pip install 'ifcurate[eval]'`, or use --no-figure."
        ) from error
    drawable = [row for row in comparison.rows if row.emt is not None and row.perplexity is not None]
    panels = list(dict.fromkeys((row.prompts, row.classifier) for row in drawable))
    figure = Figure(figsize=(5 * len(panels), 4), layout="constrained")
    for axes, (prompts, classifier) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        _draw_panel(axes, [row for row in drawable if (row.prompts, row.classifier) == (prompts, classifier)])
        axes.set(title=f"{prompts}, {classifier}", xlabel="perplexity", ylabel="expected maximum toxicity")
    with finishing(path) as part:
        figure.savefig(part, format="png", dpi=150, metadata={"Software": None})


def can_be_drawn(comparison: Comparison) -> bool:
    """Whether any model has both a toxicity and a perplexity."""
    return any(row.emt is not None and row.perplexity is not None for row in comparison.rows)


def _draw_panel(axes: Any, rows: Sequence[Row]) -> None:
    for row in rows:
        assert row.emt is not None and row.perplexity is not None
        axes.errorbar(
            row.perplexity.value,
            row.emt.value,
            xerr=_arms(row.perplexity),
            yerr=_arms(row.emt),
            fmt="o",
            capsize=3,
            label=row.model,
        )
    axes.grid(alpha=0.3)
    axes.legend()


def _arms(interval: Interval) -> list[list[float]]:
    return [[interval.value - interval.low], [interval.high - interval.value]]


def _csv(rows: Sequence[Row]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    bounds = [column for name in INTERVALS for column in (name, f"{name}_low", f"{name}_high")]
    writer.writerow(["model", "prompts", "classifier", "count", *bounds, "min_new_tokens", *SHARES, "trade_off"])
    for row in rows:
        intervals: list[Interval | None] = [getattr(row, name) for name in INTERVALS]
        values = [x for each in intervals for x in ((each.value, each.low, each.high) if each else (None,) * 3)]
        shares = [row.min_new_tokens, *(getattr(row, name) for name in SHARES)]
        writer.writerow([row.model, row.prompts, row.classifier, row.count, *values, *shares, row.trade_off])
    return stream.getvalue()


def _markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)
