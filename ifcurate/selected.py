"""What a selection leaves on disk: a table with one row a record, and a summary that says how it came about."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ifcurate.errors import InputError

SELECTED = pa.schema(
    {
        "shard": pa.string(),
        "row": pa.int64(),
        "window": pa.int32(),
        "tokens": pa.int32(),
        "sparsity": pa.int32(),
        "score": pa.float64(),
        "rank": pa.float64(),
        "selected": pa.int32(),
    }
)
"""Columns of `selection/<behaviour>.parquet`: one row a record, in the order of the corpus."""


@dataclass(frozen=True)
class Selection:
    """What was selected, and by which settings: the content of `selection/<behaviour>.json`."""

    behaviour: str
    tau: float
    quantile: float
    window: int
    budget: str | int
    budget_tokens: int
    record: str
    record_length: int | None
    length_exponent: float
    last_rank: float | None
    documents: int
    records: int
    tokens: int
    tokens_above_tau: int
    tokens_selected: int
    documents_selected: int
    shortfall: int
    shortfall_reason: str | None

    @classmethod
    def load(cls, folder: Path, behaviour: str) -> Selection:
        """The finished selection of `behaviour` in `folder`.

        Raises:
            InputError: there is none.
        """
        path = summary_path(folder, behaviour)
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise InputError(f"{path}: is no finished selection ({error}); run `ifcurate select`.") from error


def summary_path(folder: Path, behaviour: str) -> Path:
    """`<folder>/<behaviour>.json`; it exists only beside a finished table."""
    return folder / f"{behaviour}.json"


def records_path(folder: Path, behaviour: str) -> Path:
    """`<folder>/<behaviour>.parquet`, with the columns `SELECTED`."""
    return folder / f"{behaviour}.parquet"


@dataclass(frozen=True)
class ShardRecords:
    """The records of one shard: rows of a selection's table, in the order of the shard."""

    table: pa.Table

    @classmethod
    def load(cls, folder: Path, behaviour: str, shard: str) -> ShardRecords:
        """The records of `shard` in the selection of `behaviour` in `folder`.

        Raises:
            InputError: the table is missing or cannot be read.
        """
        path = records_path(folder, behaviour)
        try:
            return cls(pq.read_table(path, filters=[("shard", "==", shard)]))
        except (pa.ArrowException, OSError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"{path}: cannot be read ({reason}); run `ifcurate select`.") from error

    def of_rows(self, first: int, count: int) -> pa.Table:
        """The records of documents `first .. first + count` of the shard."""
        begin, end = np.searchsorted(self.table["row"].to_numpy(), [first, first + count])
        return self.table.slice(begin, end - begin)
