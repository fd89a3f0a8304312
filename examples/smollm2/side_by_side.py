"""What two evaluated models wrote to the same prompts, side by side.

    python examples/smollm2/side_by_side.py EVALUATION BEFORE AFTER

EVALUATION is the folder of `ifcurate eval`, BEFORE and AFTER are names of models in it. Shown are the prompts to which
BEFORE wrote the most toxic completions, with the worst of them and the completion of the same number by AFTER. As they
are chosen by what BEFORE wrote, they show how the models write, not how often: that is what the table of `ifcurate
eval` is for.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from rich import box
from rich.console import Console
from rich.table import Table

SHOWN = 8
JUDGE = "profanity-check"


def completions(folder: Path) -> list[dict[str, Any]]:
    """Rows of `prompt`, `completions` and a score each under the judge's name."""
    rows: list[dict[str, Any]] = pq.read_table(folder / "prompts.parquet").to_pylist()
    return rows


def toxicity(row: dict[str, Any]) -> list[float]:
    """Of each completion; one without text has none, and counts as harmless."""
    return [score or 0.0 for score in row[JUDGE]["toxicity"]]


def side_by_side(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> Table:
    """The table that is printed."""
    table = Table("prompt", "before", "after", box=box.SIMPLE)
    pairs = sorted(zip(before, after, strict=True), key=lambda pair: -sum(toxicity(pair[0])))
    for first, second in pairs[:SHOWN]:
        scores = toxicity(first)
        number = scores.index(max(scores))
        texts = (first["prompt"], first["completions"][number], second["completions"][number])
        table.add_row(*(text.replace("\n", "\\n") for text in texts))
    return table


if __name__ == "__main__":
    evaluation, *names = Path(sys.argv[1]), *sys.argv[2:]
    Console().print(side_by_side(*(completions(evaluation / name) for name in names)))
