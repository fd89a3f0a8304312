"""Documents of a shard as the rows of a Parquet file."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from ifcurate.corpus.parquet import writing_parquet

ROWS_PER_BATCH = 1024

Document = TypeVar("Document")


def write_rows(
    path: Path, schema: pa.Schema, documents: Iterable[Document], columns: Callable[[list[Document]], dict[str, Any]]
) -> None:
    """Write what `columns` makes of each run of documents: the columns of `schema`, one value a document."""
    waiting = iter(documents)
    with writing_parquet(path, schema) as sink:
        while batch := list(islice(waiting, ROWS_PER_BATCH)):
            sink.write(pa.RecordBatch.from_pydict(columns(batch), schema=schema))
