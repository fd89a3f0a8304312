"""Where a document is: the row of a shard, found by rank, by id, or among rows that are named."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import duckdb
import numpy as np
import pyarrow as pa

from ifcurate.corpus.documents import ID
from ifcurate.corpus.parquet import ParquetReader

_PLACES = pa.schema({"shard": pa.string(), "row": pa.int64()})
_LABELS = pa.schema([*_PLACES, pa.field(ID, pa.string())])
_ROWS = 4096


class Place(NamedTuple):
    """Row of a shard, counted from 0."""

    shard: str
    row: int


def highest_places(table: Path, most: int) -> list[Place]:
    """The documents of highest rank, at most `most`; equal ranks in the order of shards and rows.

    Args:
        table: `selection/<behaviour>.parquet`, one row a record.
        most: documents.
    """
    with duckdb.connect() as database:
        database.register("records", records_stream(table))
        found = database.execute(
            "SELECT shard, row FROM records GROUP BY shard, row ORDER BY max(rank) DESC, shard, row LIMIT ?", [most]
        )
        return [Place(*row) for row in found.fetchall()]


def places_of_id(sidecars: Mapping[str, Path], wanted: str) -> list[Place]:
    """Every document with the id `wanted`, in the order of shards and rows.

    Args:
        sidecars: name of a shard -> its score file, which has the ids.
        wanted: the id.
    """
    with duckdb.connect() as database:
        database.register("labels", pa.RecordBatchReader.from_batches(_LABELS, _labels(sidecars)))
        found = database.execute(f"SELECT shard, row FROM labels WHERE {ID} = ? ORDER BY shard, row", [wanted])
        return [Place(*row) for row in found.fetchall()]


def highest_of(places: Iterable[Place], table: Path | None, most: int) -> tuple[list[Place], int]:
    """Of `places` the documents of highest rank, at most `most`, and how many places there are.

    Args:
        places: any number, each once.
        table: as `highest_places` takes it; None: the first in the order of shards and rows.
        most: documents.
    """
    with duckdb.connect() as database:
        database.register("streamed", pa.RecordBatchReader.from_batches(_PLACES, _batches(places)))
        database.execute("CREATE TABLE places AS SELECT * FROM streamed")
        ranked = "places"
        if table is not None:
            database.register("records", records_stream(table))
            ranked = "(SELECT shard, row, max(rank) AS rank FROM records JOIN places USING (shard, row) GROUP BY ALL)"
        order = "shard, row" if table is None else "rank DESC, shard, row"
        found = database.execute(f"SELECT shard, row FROM {ranked} ORDER BY {order} LIMIT ?", [most])
        chosen = [Place(*row) for row in found.fetchall()]
        (count,) = database.execute("SELECT count(*) FROM places").fetchone() or (0,)
        return chosen, int(count)


def records_stream(table: Path) -> pa.RecordBatchReader:
    """A selection's table, as a stream: DuckDB would take brackets in a path for a pattern."""
    reader = ParquetReader(str(table))
    return pa.RecordBatchReader.from_batches(reader.schema, reader.batches())


def _labels(sidecars: Mapping[str, Path]) -> Iterator[pa.RecordBatch]:
    for shard, path in sidecars.items():
        first = 0
        for batch in ParquetReader(str(path)).batches([ID]):
            rows = np.arange(first, first + batch.num_rows)
            yield pa.record_batch([pa.repeat(shard, batch.num_rows), pa.array(rows), batch.column(ID)], schema=_LABELS)
            first += batch.num_rows


def _batches(places: Iterable[Place]) -> Iterator[pa.RecordBatch]:
    pending: list[Place] = []
    for place in places:
        pending.append(place)
        if len(pending) == _ROWS:
            yield _batch(pending)
            pending = []
    yield _batch(pending)


def _batch(places: list[Place]) -> pa.RecordBatch:
    columns = [[place.shard for place in places], [place.row for place in places]]
    return pa.record_batch([pa.array(c, f.type) for c, f in zip(columns, _PLACES, strict=True)], schema=_PLACES)
