"""Score files made from plain lists, for tests of what reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ifcurate.corpus.documents import ID
from ifcurate.corpus.parquet import attach
from ifcurate.selection.quantile import Histogram
from ifcurate.selection.scores import HISTOGRAMS, TOKEN_ENDS, TOKEN_IDS, TOKEN_STARTS, influence_column, sidecar_schema

Offsets = Sequence[tuple[int, int]]


def one_character_each(influence: Sequence[Sequence[float]]) -> list[Offsets]:
    """Offsets of documents whose tokens are characters."""
    return [[(position, position + 1) for position in range(len(document))] for document in influence]


def score_batch(
    influence: Sequence[Sequence[float]], offsets: Sequence[Offsets] | None = None, behaviour: str = "toxic"
) -> pa.RecordBatch:
    offsets = one_character_each(influence) if offsets is None else offsets
    histogram = Histogram()
    for document in influence:
        histogram.add(np.array(document, np.float32))
    columns = {
        ID: [str(row) for row in range(len(influence))],
        TOKEN_IDS: [list(range(len(document))) for document in influence],
        TOKEN_STARTS: [[start for start, _ in document] for document in offsets],
        TOKEN_ENDS: [[end for _, end in document] for document in offsets],
        influence_column(behaviour): [np.array(document, np.float32) for document in influence],
    }
    metadata = {HISTOGRAMS: {behaviour: histogram.to_text()}}
    return pa.RecordBatch.from_pydict(columns, schema=attach(sidecar_schema([behaviour], False), metadata))


def write_scores(
    path: Path, influence: Sequence[Sequence[float]], offsets: Sequence[Offsets] | None = None, rows_per_group: int = 7
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_batches([score_batch(influence, offsets)]), path, row_group_size=rows_per_group)
    return path


@dataclass(frozen=True)
class Corpus:
    """Documents as (influence, offsets) and where the shards end."""

    influence: list[list[float]]
    offsets: list[Offsets]
    shard_ends: tuple[int, ...] = ()

    def write(self, folder: Path) -> list[tuple[str, Path]]:
        edges = [0, *self.shard_ends, len(self.influence)]
        parts = [slice(begin, end) for begin, end in pairwise(edges)]
        names = [f"{number:03}" for number in range(len(parts))]
        return [
            (name, write_scores(folder / f"{name}.parquet", self.influence[part], self.offsets[part], rows_per_group=3))
            for name, part in zip(names, parts, strict=True)
        ]
