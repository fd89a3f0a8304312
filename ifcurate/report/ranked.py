"""The documents that a report shows: the highest in rank, and those around the end of the budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from ifcurate.report.lookup import Place, records_stream

HIGHEST = 30
"""Documents shown from the highest rank down."""
AT_CUT = 4
"""Documents shown on each side of the end of the budget."""
LOOKED_AT = 500
"""Documents of highest rank that are looked at for repeated tokens."""

_DOCUMENTS = """
    WITH summed AS (
        SELECT shard, row, max(rank) AS rank, sum(score) AS score, sum(sparsity) AS sparsity, sum(tokens) AS tokens,
            sum(selected) AS selected
        FROM records GROUP BY shard, row
    )
    SELECT shard, row, row_number() OVER (ORDER BY rank DESC, shard, row) AS number, rank, score, sparsity, tokens,
        selected
    FROM summed
"""


@dataclass(frozen=True)
class RankedDocument:
    """A document and what the selection says of it; `number` is 1 for the highest in rank."""

    place: Place
    number: int
    rank: float
    score: float
    sparsity: int
    tokens: int
    selected: int


def ranked_documents(
    database: duckdb.DuckDBPyConnection, table: Path, screened: bool = False
) -> tuple[list[RankedDocument], list[RankedDocument]]:
    """The documents that are shown, from the highest rank down, and those looked at for repeated tokens.

    Args:
        database: to order them in.
        table: `selection/<behaviour>.parquet`, one row a record.
        screened: documents of rank 0 may have no score, and are not shown.
    """
    database.register("records", records_stream(table))
    database.execute(f"CREATE OR REPLACE TEMP TABLE documents AS {_DOCUMENTS}")
    ranked = "rank > 0" if screened else "tokens > 0"
    highest = _read(database, f"WHERE {ranked} ORDER BY number LIMIT ?", [max(HIGHEST, LOOKED_AT)])
    last = _read(database, "WHERE selected > 0 ORDER BY number DESC LIMIT ?", [AT_CUT])
    next_ = _read(database, "WHERE selected = 0 AND rank > 0 ORDER BY number LIMIT ?", [AT_CUT])
    shown = {document.number: document for document in (*highest[:HIGHEST], *last, *next_)}
    return [shown[number] for number in sorted(shown)], highest[:LOOKED_AT]


def _read(database: duckdb.DuckDBPyConnection, clause: str, values: Sequence[int]) -> list[RankedDocument]:
    found = database.execute(f"SELECT * FROM documents {clause}", values).fetchall()
    return [
        RankedDocument(Place(shard, row), number, float(rank), float(score), int(sparsity), int(tokens), int(selected))
        for shard, row, number, rank, score, sparsity, tokens, selected in found
    ]
