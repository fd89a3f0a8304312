"""Ids of documents, of which a corpus may have more than memory holds."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate

import duckdb
import numpy as np
import pyarrow as pa

from ifcurate.corpus.shards import Shard, open_shard
from ifcurate.errors import InputError

MEMORY = "512MB"
"""What DuckDB may hold before it spills to the folder for temporary files."""

_REPEATED = """
    SELECT id, min(place, 2) AS places FROM documents WHERE id IS NOT NULL
    GROUP BY id HAVING count(*) > 1 ORDER BY places[1] LIMIT 1
"""


@contextmanager
def database_of(batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database with one view, `documents`: the batches, which are read once; what it sorts and groups may spill."""
    reader = pa.RecordBatchReader.from_batches(schema, batches)
    with tempfile.TemporaryDirectory(prefix="ifcurate-") as spill:
        settings = {"memory_limit": MEMORY, "threads": 2, "temp_directory": spill}
        with duckdb.connect(config=settings) as database:
            database.register("documents", reader)
            yield database


def require_unique_ids(shards: Sequence[Shard], id_column: str) -> None:
    """Read the ids of a corpus, for those who join by them.

    Raises:
        InputError: a shard has no such column; or two documents have the same id: names it and the first two.
    """
    schema = pa.schema([pa.field("id", pa.string()), pa.field("place", pa.int64())])
    readers = [open_shard(shard) for shard in shards]
    for shard, reader in zip(shards, readers, strict=True):
        if reader.num_rows and id_column not in reader.readable.names:
            names = ", ".join(reader.readable.names)
            raise InputError(
                f"{shard.path}: has no column {id_column!r}, by which documents are joined; give --id-column one of "
                f"its columns ({names})."
            )
    firsts = [0, *accumulate(reader.num_rows for reader in readers)]

    def batches() -> Iterator[pa.RecordBatch]:
        for reader, place in zip(readers, firsts, strict=False):
            for batch in reader.batches([id_column]) if reader.num_rows else ():
                places = pa.array(np.arange(place, place + batch.num_rows))
                yield pa.RecordBatch.from_arrays([batch.column(0).cast(pa.string()), places], schema=schema)
                place += batch.num_rows

    with database_of(batches(), schema) as database:
        found = database.execute(_REPEATED).fetchone()
    if found is not None:
        index = [int(np.searchsorted(firsts, place, side="right")) - 1 for place in found[1]]
        one, other = (f"{shards[i].path}, row {place - firsts[i]}" for i, place in zip(index, found[1], strict=True))
        raise InputError(
            f"{one} and {other} (counted from 0) have the same id, {found[0]!r}, by which documents are joined; give "
            "--id-column a column of unique ids."
        )
