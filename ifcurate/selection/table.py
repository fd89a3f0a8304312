"""What a selection leaves on disk: a table with one row a record, and a summary that says how it came about."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ifcurate.artifacts import BehaviourName, read_artifact
from ifcurate.errors import InputError, first_line
from ifcurate.selection.screened import Screened
from ifcurate.selection.spans import Ints

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

    behaviour: BehaviourName
    tau: float
    quantile: float
    neighbours: int
    budget: str | int
    budget_tokens: int
    budget_ends: str
    rank_by: str
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
    screened: Screened | None = None
    max_repetition: float | None = None
    documents_held_back: int = 0
    threshold: float | None = None

    @property
    def tau_is(self) -> str:
        """How tau was found, for people."""
        if self.rank_by == "token":
            return f"just below the {self.budget_tokens:,} highest"
        return "a given value" if self.threshold is not None else f"the {self.quantile:g} quantile"

    @classmethod
    def load(cls, folder: Path, behaviour: str) -> Selection:
        """The finished selection of `behaviour` in `folder`.

        Raises:
            InputError: there is none.
        """
        path = summary_path(folder, behaviour)
        if not path.is_file():
            raise InputError(f"{path}: there is no finished selection; run `ifcurate select`.")
        return read_artifact(cls, path.read_bytes(), path, "run `ifcurate select`")


def summary_path(folder: Path, behaviour: str) -> Path:
    """`<folder>/<behaviour>.json`; it exists only beside a finished table."""
    return folder / f"{behaviour}.json"


def records_path(folder: Path, behaviour: str) -> Path:
    """`<folder>/<behaviour>.parquet`, with the columns `SELECTED`."""
    return folder / f"{behaviour}.parquet"


@dataclass
class Tally:
    """Counts over the rows of a selection."""

    documents: int = 0
    records: int = 0
    tokens: int = 0
    tokens_above_tau: int = 0
    tokens_selected: int = 0
    documents_selected: int = 0
    last_rank: float | None = None
    _last_document: int = field(default=0, repr=False)

    def add(self, batch: pa.RecordBatch) -> None:
        """Count the records of a batch; batches come in the order of the corpus."""
        window, tokens, sparsity, rank, selected = (
            batch[name].to_numpy() for name in ("window", "tokens", "sparsity", "rank", "selected")
        )
        document = self.documents + np.cumsum(window == 0)
        chosen = selected > 0
        self.documents_selected += int(np.count_nonzero(np.diff(document[chosen], prepend=self._last_document)))
        if chosen.any():
            self._last_document = int(document[chosen][-1])
            lowest = float(rank[chosen].min())
            self.last_rank = lowest if self.last_rank is None else min(self.last_rank, lowest)
        self.documents += int(np.count_nonzero(window == 0))
        self.records += len(window)
        self.tokens += int(tokens.sum())
        self.tokens_above_tau += int(sparsity.sum())
        self.tokens_selected += int(selected.sum())

    def counts(self) -> dict[str, Any]:
        """The public fields."""
        return {name: value for name, value in dataclasses.asdict(self).items() if not name.startswith("_")}


@dataclass(frozen=True)
class ShardRecords:
    """The records of one shard: rows of a selection's table, in the order of the shard."""

    table: pa.Table
    rows: Ints

    @classmethod
    def load(cls, folder: Path, behaviour: str, shard: str) -> ShardRecords:
        """The records of `shard` in the selection of `behaviour` in `folder`.

        Raises:
            InputError: the table is missing or cannot be read.
        """
        path = records_path(folder, behaviour)
        try:
            table = pq.read_table(path, filters=[("shard", "==", shard)], pre_buffer=False)
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{path}: cannot be read ({first_line(error)}); run `ifcurate select`.") from error
        return cls(table, table["row"].to_numpy())

    def of_rows(self, first: int, count: int) -> pa.Table:
        """The records of documents `first .. first + count` of the shard."""
        begin, end = np.searchsorted(self.rows, [first, first + count])
        return self.table.slice(begin, end - begin)
