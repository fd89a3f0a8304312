"""How many documents share their id with another: of interest to whoever joins by id, which nothing here does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from ifcurate.corpus.documents import ID
from ifcurate.corpus.ids import database_of
from ifcurate.corpus.parquet import ParquetReader


def repeated_ids(sidecars: Sequence[Path]) -> int:
    """Documents of a corpus whose id another one before them has, counted out of core over the score files."""

    def batches() -> Iterator[pa.RecordBatch]:
        for sidecar in sidecars:
            yield from ParquetReader(str(sidecar)).batches([ID])

    with database_of(batches(), pa.schema([pa.field(ID, pa.string())])) as database:
        found = database.execute("SELECT count(*) - count(DISTINCT id) FROM documents").fetchone()
    return int(found[0]) if found is not None else 0
