"""The results of a study as JSON, CSV, Markdown and LaTeX."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from ifcurate.errors import InputError
from ifcurate.evaluation.bootstrap import Interval
from ifcurate.files import write_text
from ifcurate.studies.results import Results, Row, Verdict
from ifcurate.studies.tables import LEGEND, Cell, Shown

RESULTS_FILE = "results.json"
VERDICT_INTERVALS = ("tp", "emt", "tp_toxic", "emt_toxic", "difference")
ROW_INTERVALS = (
    *("perplexity", "packed", "bits_per_byte", "token_accuracy", "word_accuracy"),
    *("attacked", "not_attacked", "recognition"),
)
NUMBERS = ("seeds", "of_seeds", "empty_share", "silent_prompts", "repeated_share", "marked_share", "loss_marked")
SECONDS = ("attribution_seconds", "step_seconds")
_FORMAT = TypeAdapter(Results)
_TEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"} | {
    character: f"\\{character}" for character in "&%$#_{}"
}


def write_results(results: Results, tables: Sequence[Shown], folder: Path) -> list[Path]:
    """Write `results.json`, `.csv`, `.md` and `.tex` into `folder`; returns their paths."""
    contents = {
        ".json": _FORMAT.dump_json(results, indent=2).decode() + "\n",
        ".csv": tidy(results.rows),
        ".md": "\n".join([*map(markdown, tables), LEGEND + "\n"]),
        ".tex": "\n".join(map(latex, tables)),
    }
    stem = (folder / RESULTS_FILE).with_suffix("")
    for suffix, text in contents.items():
        write_text(stem.with_suffix(suffix), text)
    return [stem.with_suffix(suffix) for suffix in contents]


def read_results(folder: Path) -> Results:
    """What `write_results` wrote into `folder`.

    Raises:
        InputError: there are none, or the file is something else.
    """
    file = folder / RESULTS_FILE
    try:
        return _FORMAT.validate_json(file.read_bytes())
    except (OSError, ValidationError) as error:
        raise InputError(f"{file}: holds no results of a study; give a folder that `ifcurate study` wrote.") from error


def tidy(rows: Sequence[Row]) -> str:
    """CSV with a line an arm, set of prompts and judge, all figures in it."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    bounds = [column for name in (*VERDICT_INTERVALS, *ROW_INTERVALS) for column in _bounds(name)]
    writer.writerow(["arm", "prompts", "judge", "counts", "place", "toxic_share", *NUMBERS, *SECONDS, *bounds])
    for row in rows:
        fluency = [value for name in ROW_INTERVALS for value in _values(getattr(row, name))]
        numbers = [getattr(row, name) for name in (*NUMBERS, *SECONDS)]
        for judge, verdict in row.verdicts.items():
            figures = [value for name in VERDICT_INTERVALS for value in _values(getattr(verdict, name))]
            writer.writerow([row.arm, row.prompts, judge, *_of(verdict), *numbers, *figures, *fluency])
    return stream.getvalue()


def markdown(table: Shown) -> str:
    """A table in Markdown, its notes below; the best figure is bold."""
    cells = [[_bold(cell.text.replace("|", r"\|"), cell, "**{}**") for cell in row] for row in table.rows]
    lines = [table.headings, ["---"] * len(table.headings), *cells]
    rows = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    notes = "".join(f"- {note}\n" for note in table.notes)
    return f"## {table.title}\n\n{rows}" + (f"\n{notes}" if notes else "")


def latex(table: Shown) -> str:
    """A table in LaTeX, as `\\input` takes it; it needs booktabs."""
    rows = [[_bold(_escaped(cell.text), cell, r"\textbf{{{}}}") for cell in row] for row in table.rows]
    head = " & ".join(map(_escaped, table.headings))
    body = "".join(f"  {' & '.join(row)} \\\\\n" for row in rows)
    columns = "ll" + "r" * (len(table.headings) - 2)
    notes = "".join(f"% {note}\n" for note in table.notes)
    return (
        f"% {table.title}\n\\begin{{tabular}}{{{columns}}}\n  \\toprule\n  {head} \\\\\n  \\midrule\n"
        f"{body}  \\bottomrule\n\\end{{tabular}}\n{notes}"
    )


def _bold(text: str, cell: Cell, form: str) -> str:
    return form.format(text) if cell.best else text


def _escaped(text: str) -> str:
    return "".join(_TEX.get(character, character) for character in text)


def _of(verdict: Verdict) -> list[object]:
    return [verdict.partial is None, verdict.place, verdict.toxic_share]


def _bounds(name: str) -> list[str]:
    return [name, f"{name}_low", f"{name}_high"]


def _values(interval: Interval | None) -> list[float | None]:
    return [None, None, None] if interval is None else [interval.value, interval.low, interval.high]
