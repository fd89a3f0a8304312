"""How many documents share their id with another: of interest to whoever joins by id, which nothing here does."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from ifcurate.corpus.documents import ID
from ifcurate.corpus.parquet import ParquetReader

MEMORY = "512MB"
"""What DuckDB may hold before it spills to the folder for temporary files."""


def repeated_ids(sidecars: Sequence[Path]) -> int:
    """Documents of a corpus whose id another one before them has, counted out of core over the score files."""

    def batches() -> Iterator[pa.RecordBatch]:
        for sidecar in sidecars:
            yield from ParquetReader(str(sidecar)).batches([ID])

    reader = pa.RecordBatchReader.from_batches(pa.schema([pa.field(ID, pa.string())]), batches())
    with tempfile.TemporaryDirectory(prefix="ifcurate-") as spill:
        settings = {"memory_limit": MEMORY, "threads": 2, "temp_directory": spill}
        with duckdb.connect(config=settings) as database:
            database.register("documents", reader)
            found = database.execute("SELECT count(*) - count(DISTINCT id) FROM documents").fetchone()
    return int(found[0]) if found is not None else 0
