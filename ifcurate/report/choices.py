"""What selections with other quantiles and budgets would hold, by the code that selects, over every record once.

At a fixed quantile more budget never takes a token away, so what lies between two budgets is bounded by them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ifcurate.corpus.parquet import ParquetReader
from ifcurate.errors import InputError
from ifcurate.report.measured import MeasuredRecords
from ifcurate.selection.spans import Ints

_ORDERED = """
    SELECT ranked.*, row_number() OVER (PARTITION BY document ORDER BY rank DESC, position) = 1 AS first, {codes}
    FROM ranked JOIN labels USING (document) WHERE reach > 0 ORDER BY rank DESC, position
"""


@dataclass(frozen=True)
class CutRecord:
    """The record in which a budget ends: `room` tokens are left for it."""

    threshold: int
    budget: int
    document: int
    window: int
    room: int
    codes: tuple[int, ...]
    first: bool


@dataclass(frozen=True)
class PlacedRecord:
    """A record of a document that is shown: it gives up all its `reach` once the budget is `start + reach` tokens."""

    document: int
    window: int
    start: int
    reach: int


@dataclass
class Choices:
    """What would be selected, for every threshold and budget.

    Attributes:
        tokens: int64 [thresholds, budgets]: tokens selected.
        documents: int64 [thresholds, budgets]: documents with a token selected.
        groups: for each column int64 [thresholds, budgets, values]: tokens selected in each group.
        cuts: what is not counted yet, until `count_cut` is told how much of it fits.
        placed: for each threshold, the records of shown documents that have a token to give up.
    """

    tokens: Ints
    documents: Ints
    groups: list[Ints]
    cuts: list[CutRecord] = field(default_factory=list)
    placed: list[list[PlacedRecord]] = field(default_factory=list)

    def count_cut(self, cut: CutRecord, fitting: int) -> None:
        """Count the `fitting` tokens that the record at a cut gives up."""
        self.tokens[cut.threshold, cut.budget] += fitting
        self.documents[cut.threshold, cut.budget] += cut.first and fitting > 0
        for group, code in zip(self.groups, cut.codes, strict=True):
            group[cut.threshold, cut.budget, code] += fitting


@dataclass(frozen=True)
class GroupColumns:
    """The groups of every document.

    Attributes:
        path: Parquet, one row a document in the order of the corpus.
        columns: the columns of it that are counted.
        numbers: for each, the number of the group that each of its codes belongs to, int64 [codes].
        sizes: groups of each.
    """

    path: Path
    columns: list[str]
    numbers: list[Ints]
    sizes: list[int]

    def stream(self) -> pa.RecordBatchReader:
        """The codes of every document, beside `document`, its number in the corpus."""
        reader = ParquetReader(str(self.path))
        schema = pa.schema([pa.field("document", pa.int64()), *(reader.schema.field(name) for name in self.columns)])

        def batches() -> Iterator[pa.RecordBatch]:
            first = 0
            for batch in reader.batches():
                document = pa.array(np.arange(first, first + batch.num_rows))
                columns = [document, *(batch[name] for name in self.columns)]
                yield pa.RecordBatch.from_arrays(columns, schema=schema)
                first += batch.num_rows

        return pa.RecordBatchReader.from_batches(schema, batches())


def weigh_choices(
    database: duckdb.DuckDBPyConnection,
    records: MeasuredRecords,
    budgets: Sequence[int],
    groups: GroupColumns,
    shown: Sequence[int],
) -> Choices:
    """Order the records at every threshold, and see how far each budget reaches.

    Args:
        database: to order them in.
        records: measured at the thresholds.
        budgets: tokens, ascending.
        groups: of every document.
        shown: documents whose records are placed.

    Raises:
        InputError: more or fewer documents have groups than were scored.
    """
    shape = (len(records.taus), len(budgets))
    choices = Choices(
        np.zeros(shape, np.int64), np.zeros(shape, np.int64), [np.zeros((*shape, n), np.int64) for n in groups.sizes]
    )
    _create_labels(database, groups, records.documents)
    for threshold in range(len(records.taus)):
        _weigh(database, records, threshold, np.array(budgets, np.int64), groups, np.array(shown), choices)
    return choices


def _create_labels(database: duckdb.DuckDBPyConnection, groups: GroupColumns, documents: int) -> None:
    database.register("streamed", groups.stream())
    database.execute("CREATE OR REPLACE TEMP TABLE labels AS SELECT * FROM streamed")
    [(found,)] = database.execute("SELECT count(*) FROM labels").fetchall()
    if found != documents:
        raise InputError(f"{groups.path}: {found:,} documents are annotated where {documents:,} were scored.")


def _weigh(
    database: duckdb.DuckDBPyConnection,
    records: MeasuredRecords,
    threshold: int,
    budgets: Ints,
    groups: GroupColumns,
    shown: Ints,
    choices: Choices,
) -> None:
    """Fill in one threshold: for each budget the whole records that it newly reaches, then the sums of them."""
    database.register("ranked", records.ranked(threshold))
    codes = ", ".join(f"labels.{name}" for name in groups.columns) or "NULL"
    spent, reached, placed = 0, 0, []
    stream = pa.RecordBatchReader.from_stream(database.sql(_ORDERED.format(codes=codes)))
    for batch in filter(len, stream):
        columns = _Ordered.of(batch, groups)
        until = spent + np.cumsum(columns.reach)
        budget = np.searchsorted(budgets, until, side="left")  # the first that holds the record as a whole
        choices.cuts += _cuts(columns, until, budget, reached, threshold, budgets)
        whole = budget < len(budgets)
        np.add.at(choices.tokens[threshold], budget[whole], columns.reach[whole])
        np.add.at(choices.documents[threshold], budget[whole], columns.first[whole].astype(np.int64))
        for group, code in zip(choices.groups, columns.codes, strict=True):
            np.add.at(group[threshold], (budget[whole], code[whole]), columns.reach[whole])
        for row in np.flatnonzero(np.isin(columns.document, shown)):
            start, size = int(until[row] - columns.reach[row]), int(columns.reach[row])
            placed.append(PlacedRecord(int(columns.document[row]), int(columns.window[row]), start, size))
        spent, reached = int(until[-1]), int(budget[-1])
    for counts in (choices.tokens, choices.documents, *choices.groups):
        np.cumsum(counts[threshold], axis=0, out=counts[threshold])
    choices.placed.append(placed)


@dataclass(frozen=True)
class _Ordered:
    """A batch of records in the order of their rank."""

    document: Ints
    window: Ints
    reach: Ints
    first: NDArray[np.bool_]
    codes: list[Ints]

    @classmethod
    def of(cls, batch: pa.RecordBatch, groups: GroupColumns) -> _Ordered:
        document, window, reach = (batch[name].to_numpy() for name in ("document", "window", "reach"))
        codes = [numbers[batch[name].to_numpy()] for name, numbers in zip(groups.columns, groups.numbers, strict=True)]
        return cls(document, window, reach, batch["first"].to_numpy(zero_copy_only=False), codes)


def _cuts(
    columns: _Ordered, until: Ints, budget: Ints, reached: int, threshold: int, budgets: Ints
) -> Iterator[CutRecord]:
    """The budgets that end inside a record of the batch: those that it skips, counted from the record before it."""
    before = np.append(reached, budget[:-1])
    for row in np.flatnonzero(budget > before):
        for number in range(int(before[row]), int(budget[row])):
            room = int(budgets[number] - (until[row] - columns.reach[row]))
            if room > 0:
                codes = tuple(int(code[row]) for code in columns.codes)
                document, window = int(columns.document[row]), int(columns.window[row])
                yield CutRecord(threshold, number, document, window, room, codes, bool(columns.first[row]))


def cuts_by_document(choices: Choices) -> Mapping[int, list[CutRecord]]:
    """The records at the cuts, by the document that they are in."""
    found: dict[int, list[CutRecord]] = {}
    for cut in choices.cuts:
        found.setdefault(cut.document, []).append(cut)
    return found
