"""The documents that a report shows: the highest in rank, their texts cut where a selection begins and ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from ifcurate.annotation import schema
from ifcurate.corpus.parquet import ParquetReader
from ifcurate.corpus.shards import list_shards, open_shard

HIGHEST = 30
"""Documents shown."""
MOST_CHARACTERS = 2_000
"""Of a document shown; the report says where it is cut."""


@dataclass(frozen=True)
class Piece:
    """A run of a document's characters, selected or not."""

    text: str
    selected: bool


@dataclass(frozen=True)
class ShownDocument:
    """A document of the report: where it is, its numbers, its text cut into pieces, and how much is left out."""

    shard: str
    row: int
    rank: float
    score: float
    sparsity: int
    pieces: list[Piece]
    left_out: int


def highest_documents(
    table: Path, data: Mapping[str, Path], text_column: str, behaviour: str
) -> Iterator[ShownDocument]:
    """The `HIGHEST` documents with selected tokens, from the highest rank down.

    Args:
        table: `selection/<behaviour>.parquet`, one row a record.
        data: name of a shard -> where it is with our columns.
        text_column: the column that holds the documents.
        behaviour: whose columns are read.
    """
    reader = ParquetReader(str(table))
    with duckdb.connect() as database:  # which would take brackets in the table's path for a pattern
        database.register("records", pa.RecordBatchReader.from_batches(reader.schema, reader.batches()))
        highest = database.execute(
            "SELECT shard, row FROM records WHERE selected > 0 "
            "GROUP BY shard, row ORDER BY max(rank) DESC, shard, row LIMIT ?",
            [HIGHEST],
        ).fetchall()
    for shard, row in highest:
        yield _shown(data[shard], shard, row, text_column, behaviour)


def cut_text(text: str, spans: Sequence[tuple[int, int]]) -> list[Piece]:
    """`text` cut at the borders of `spans`: ranges of characters in order, without overlap."""
    pieces, reached = [], 0
    for start, end in spans:
        pieces += [Piece(text[reached:start], False), Piece(text[start:end], True)]
        reached = end
    pieces.append(Piece(text[reached:], False))
    return [piece for piece in pieces if piece.text]


def _shown(file: Path, shard: str, row: int, text_column: str, behaviour: str) -> ShownDocument:
    names = [
        text_column,
        schema.spans_column(behaviour),
        schema.rank_column(behaviour),
        schema.score_column(behaviour),
        schema.sparsity_column(behaviour),
    ]
    text, spans, rank, score, sparsity = (column[0].as_py() for column in _row(file, row, names).columns)
    kept = [(span["start"], min(span["end"], MOST_CHARACTERS)) for span in spans if span["start"] < MOST_CHARACTERS]
    pieces = cut_text(text[:MOST_CHARACTERS], kept)
    return ShownDocument(shard, row, rank, score, sparsity, pieces, max(0, len(text) - MOST_CHARACTERS))


def _row(file: Path, row: int, names: list[str]) -> pa.RecordBatch:
    first = 0
    for batch in open_shard(list_shards(str(file))[0]).batches(names):
        if row < first + batch.num_rows:
            return batch.select(names).slice(row - first, 1)
        first += batch.num_rows
    raise IndexError(f"{file}: has no row {row}")
