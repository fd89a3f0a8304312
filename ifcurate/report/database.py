"""One DuckDB for all that a report counts; it spills to disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from ifcurate.errors import InputError, first_line

MEMORY = "512MB"


@contextmanager
def counting(spill: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database in memory, with temporary files in the folder `spill`.

    Raises:
        InputError: the disk is full.
    """
    settings = {"memory_limit": MEMORY, "temp_directory": str(spill), "threads": 2}
    try:
        with duckdb.connect(config=settings) as database:
            yield database
    except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
        raise InputError(f"{spill}: cannot be used to count in ({first_line(error)}); free some disk space.") from error
