"""The rank of a score among all scores of a corpus, out of core: a table of the values that there are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ifcurate.corpus.parquet import ParquetReader
from ifcurate.errors import InputError, first_line
from ifcurate.files import finishing_folder
from ifcurate.selection.scores import influence_column

VALUES, RANKS = "values.npy", "ranks.npy"
_MEMORY = "512MB"
_COUNTED = "SELECT value, count(*) AS count FROM scores GROUP BY value ORDER BY value"


@dataclass(frozen=True)
class RankTable:
    """Values in order, float32 [values], each with the mean rank of the scores that are equal to it, float64 [values].

    Ranks are shares: (rank - 1/2) / scores, for ranks from 1.
    """

    values: NDArray[np.float32]
    ranks: NDArray[np.float64]

    @classmethod
    def load(cls, folder: Path) -> RankTable:
        """What `write_ranks` wrote, mapped into memory.

        Raises:
            InputError: a file is missing or damaged.
        """
        try:
            values, ranks = (np.load(folder / name, mmap_mode="r") for name in (VALUES, RANKS))
            if len(values) != len(ranks):
                raise ValueError("one of its files is shorter than the other")
        except (OSError, ValueError, EOFError) as error:
            raise InputError(
                f"{folder}: is no table of ranks, or is damaged ({first_line(error)}); delete it and the scores of "
                "the run, and run `ifcurate annotate` again."
            ) from error
        return cls(values, ranks)

    def of(self, scores: NDArray[np.float32]) -> NDArray[np.float64]:
        """Ranks of scores that are in the table."""
        return np.asarray(self.ranks[np.searchsorted(self.values, scores)])


def write_ranks(sidecars: Sequence[Path], behaviour: str, folder: Path) -> None:
    """Rank the scores of a corpus; equal ones share the mean of their ranks (as `scipy.stats.rankdata` does).

    Args:
        sidecars: score files.
        behaviour: whose scores.
        folder: for the table, with 12 bytes a value that differs from all others.

    Raises:
        InputError: a file cannot be read, or the disk is full.
    """
    column, schema = influence_column(behaviour), pa.schema({"value": pa.float32()})

    def batches() -> Iterator[pa.RecordBatch]:
        for path in sidecars:
            for batch in ParquetReader(str(path)).batches([column]):
                values = batch.column(column).flatten().to_numpy() + np.float32(0)  # no zero is below another
                yield pa.RecordBatch.from_arrays([pa.array(values)], schema=schema)

    folder.parent.mkdir(parents=True, exist_ok=True)
    with finishing_folder(folder) as part:
        spill = part / "spill"
        spill.mkdir()
        with duckdb.connect(config={"memory_limit": _MEMORY, "temp_directory": str(spill), "threads": 1}) as database:
            database.register("scores", pa.RecordBatchReader.from_batches(schema, batches()))
            try:
                counted = database.sql(_COUNTED).fetchnumpy()
            except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
                reason = first_line(error)
                raise InputError(f"{folder}: scores cannot be ranked ({reason}); free some disk space.") from error
        counts = np.asarray(counted["count"], np.float64)
        np.save(part / VALUES, np.asarray(counted["value"], np.float32))
        np.save(part / RANKS, (np.cumsum(counts) - counts / 2) / max(counts.sum(), 1))
        for left in spill.iterdir():
            left.unlink()
        spill.rmdir()
