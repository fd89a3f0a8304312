"""Groups of documents for charts: of each column the values with most tokens, and all others as one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from ifcurate.report.choices import GroupColumns
from ifcurate.report.labels import Labels, label_column, usable_labels
from ifcurate.report.lookup import records_stream
from ifcurate.report.visible import visible_line

MOST_GROUPS = 10
"""Values of a column that are told apart."""
LONGEST_NAME = 80
"""Characters of a value; a longer one ends with an ellipsis."""
NO_VALUE = "(none)"

_LENGTHS = pa.schema({"document": pa.int64(), "tokens": pa.int32()})


def make_groups(
    database: duckdb.DuckDBPyConnection, labels: Sequence[Labels], numbers: Path, table: Path
) -> tuple[GroupColumns, list[dict[str, Any]]]:
    """The columns that are shown, as groups to count in, and as the page describes them.

    Args:
        database: to count in.
        labels: all columns that were read.
        numbers: the file that `read_labels` wrote.
        table: `selection/<behaviour>.parquet`, for the tokens of each document.
    """
    usable = usable_labels(labels)
    groups = GroupColumns(numbers, [label_column(index) for index in usable], [], [])
    described = []
    database.register("streamed", pa.RecordBatchReader.from_batches(_LENGTHS, _lengths(table)))
    database.execute(
        "CREATE OR REPLACE TEMP TABLE lengths AS SELECT document, sum(tokens) AS tokens FROM streamed GROUP BY document"
    )
    database.register("numbered", groups.stream())
    database.execute("CREATE OR REPLACE TEMP TABLE labels AS SELECT * FROM numbered")
    for index, column in zip(usable, groups.columns, strict=True):
        found = database.execute(
            f"SELECT {column}, sum(tokens), count(*) FROM labels JOIN lengths USING (document) "
            f"GROUP BY {column} ORDER BY sum(tokens) DESC, {column}"
        ).fetchall()
        number = np.full(len(labels[index].number), min(len(found) - 1, MOST_GROUPS), np.int64)
        for place, (code, _, _) in enumerate(found[: MOST_GROUPS + 1]):
            number[code] = place
        groups.numbers.append(number)
        groups.sizes.append(min(len(found), MOST_GROUPS + 1))
        described.append(_described(labels[index], found))
    return groups, described


def shown_value(value: str | None) -> str:
    """A value of a column as it is written for people, on one line."""
    name = NO_VALUE if value is None else visible_line(value)
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def _described(labels: Labels, found: Sequence[tuple[int, int, int]]) -> dict[str, Any]:
    values = labels.values
    several = len(found) > MOST_GROUPS + 1
    alone, rest = (found[:MOST_GROUPS], found[MOST_GROUPS:]) if several else (found, [])
    named = [{"name": shown_value(values[code]), "tokens": int(tokens), "documents": n} for code, tokens, n in alone]
    if rest:
        tokens, documents = (int(sum(row[place] for row in rest)) for place in (1, 2))
        named.append({"name": f"{len(rest):,} other values", "tokens": tokens, "documents": documents})
    return {"name": labels.name, "values": named}


def _lengths(table: Path) -> Iterator[pa.RecordBatch]:
    """Document of the corpus and tokens of every record."""
    before = 0
    for batch in records_stream(table):
        document = before + np.cumsum(batch["window"].to_numpy() == 0) - 1
        before = int(document[-1]) + 1 if len(document) else before
        yield pa.RecordBatch.from_arrays([pa.array(document), batch["tokens"]], schema=_LENGTHS)
