"""Ranks of records, and where in their order the budget ends (IF-Guide, Algorithm 1, lines on sorting).

The rank of a record is the harmonic mean of its sparsity and its score, each divided by a power of the record's length
and min-max normalised over the corpus. Records of equal rank keep the order of the corpus.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ifcurate.errors import InputError, first_line
from ifcurate.selection.spans import Ints

Floats = NDArray[np.float64]

RANKED = pa.schema({"position": pa.int64(), "rank": pa.float64(), "reach": pa.int64()})
"""What is ordered: a record's place in the corpus, its rank, and the tokens it gives up without a budget."""
WEIGHED = RANKED.append(pa.field("weight", pa.float64()))
"""The same, and how many documents the record's document stands for."""

_SORT_MEMORY = "512MB"


@dataclass
class Extent:
    """Lowest and highest of the values seen."""

    low: float = math.inf
    high: float = -math.inf

    def widen(self, values: Floats) -> None:
        """Take `values` into account."""
        self.low = min(self.low, float(values.min(initial=math.inf)))
        self.high = max(self.high, float(values.max(initial=-math.inf)))

    def merge(self, other: Extent) -> None:
        """Take into account what `other` has."""
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)

    def normalise(self, values: Floats) -> Floats:
        """`values` mapped to [0, 1]; all 0 where every value seen was the same."""
        return (values - self.low) / (self.high - self.low) if self.high > self.low else np.zeros_like(values)


class Ranking:
    """Ranks records once it has observed all of them. Records without tokens count for nothing and have rank 0."""

    def __init__(self, length_exponent: float) -> None:
        self._exponent = length_exponent
        self._sparsity, self._score = Extent(), Extent()

    def observe(self, tokens: Ints, sparsity: Ints, score: Floats) -> None:
        """Take records into the corpus; arguments [records]: token counts, tokens above tau, their summed influence."""
        length = self._length(tokens[tokens > 0])
        self._sparsity.widen(sparsity[tokens > 0] / length)
        self._score.widen(score[tokens > 0] / length)

    def merge(self, other: Ranking) -> None:
        """Take in the records that `other`, of the same length exponent, has observed."""
        self._sparsity.merge(other._sparsity)
        self._score.merge(other._score)

    def rank(self, tokens: Ints, sparsity: Ints, score: Floats) -> Floats:
        """float64 [records], in [0, 1]: 2ab / (a + b) of the normalised sparsity a and score b, 0 where both are 0."""
        length = self._length(np.maximum(tokens, 1))
        a = self._sparsity.normalise(sparsity / length)
        b = self._score.normalise(score / length)
        both = a + b
        mean = np.divide(2 * a * b, both, out=np.zeros_like(both), where=both > 0)
        return np.where(tokens > 0, mean, 0.0)

    def _length(self, tokens: Ints) -> Floats:
        if self._exponent == 0.5:
            return np.sqrt(tokens)
        return tokens.astype(np.float64) ** self._exponent


@dataclass(frozen=True)
class Cut:
    """Where the budget ends: records before it give up all of their reach, those behind it nothing.

    The record at the cut is number `position` of the corpus, has rank `rank`, and may give up `room` tokens. A budget
    that outlasts the corpus has its cut at position -1 and a rank of minus infinity, behind every record.
    """

    position: int
    rank: float
    room: int

    def allotment(self, position: Ints, rank: Floats, reach: Ints) -> Ints:
        """int64 [records]: the most tokens that each record may give up."""
        before = (rank > self.rank) | ((rank == self.rank) & (position < self.position))
        return np.where(before, reach, np.where(position == self.position, self.room, 0))


def find_cut(records: pa.RecordBatchReader, budget: int, spill: Path) -> Cut:
    """Order the records by descending rank, then position, and add up their weighted reach until `budget` is passed.

    Args:
        records: batches of the columns `WEIGHED`; read once, ordered out of core by DuckDB.
        budget: tokens to select.
        spill: folder for DuckDB's temporary files.

    Raises:
        InputError: the disk is full.
    """
    spent = 0.0  # whole numbers as long as all weights are
    with duckdb.connect(config={"memory_limit": _SORT_MEMORY, "temp_directory": str(spill), "threads": 2}) as database:
        database.register("records", records)
        query = "SELECT position, rank, reach, weight FROM records WHERE reach > 0 ORDER BY rank DESC, position"
        try:
            for batch in pa.RecordBatchReader.from_stream(database.sql(query)):
                position, rank, reach, weight = (batch.column(name).to_numpy() for name in WEIGHED.names)
                total = spent + np.cumsum(reach * weight)
                over = int(np.searchsorted(total, budget, side="right"))
                if over < len(total):
                    before = total[over - 1] if over else spent
                    return Cut(int(position[over]), float(rank[over]), int((budget - before) / weight[over]))
                spent = float(total[-1])
        except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
            raise InputError(
                f"{spill}: records cannot be ordered here ({first_line(error)}); free some disk space."
            ) from error
    return Cut(-1, -math.inf, 0)
