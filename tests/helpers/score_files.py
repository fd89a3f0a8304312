"""Score files made from plain lists, for tests of what reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ifcurate.corpus.documents import ID
from ifcurate.corpus.parquet import attach
from ifcurate.selection.quantile import Histogram
from ifcurate.selection.scores import HISTOGRAMS, TOKEN_ENDS, TOKEN_IDS, TOKEN_STARTS, influence_column, sidecar_schema
from ifcurate.selection.screened import SCREEN, SCREENED, WEIGHT

Offsets = Sequence[tuple[int, int]]


def one_character_each(influence: Sequence[Sequence[float]]) -> list[Offsets]:
    """Offsets of documents whose tokens are characters."""
    return [[(position, position + 1) for position in range(len(document))] for document in influence]


def score_batch(
    influence: Sequence[Sequence[float]],
    offsets: Sequence[Offsets] | None = None,
    behaviour: str = "toxic",
    weights: Sequence[float] | None = None,
    audit_weight: float = 1.0,
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
    if weights is not None:
        return _screened_batch(columns, behaviour, weights, audit_weight)
    return pa.RecordBatch.from_pydict(columns, schema=attach(sidecar_schema([behaviour], False), metadata))


def _screened_batch(
    columns: dict[str, list[Any]], behaviour: str, weights: Sequence[float], audit_weight: float
) -> pa.RecordBatch:
    """The same documents, of which those without weight have no score, and those of more than 1 are an audit's."""
    name = influence_column(behaviour)
    tokens, whole, audited = sum(map(len, columns[name])), Histogram(), Histogram()
    columns[name] = [values if weight else None for values, weight in zip(columns[name], weights, strict=True)]
    for values, weight in zip(columns[name], weights, strict=True):
        whole.add(np.zeros(0, np.float32) if values is None else values)
        audited.add(values if weight > 1 else np.zeros(0, np.float32))
    columns |= {SCREEN: [0.0] * len(weights), WEIGHT: list(weights)}
    facts = {"screen": "0" * 64, "threshold": 0.5, "share": 0.5, "audit": 1 / audit_weight, "seed": 0}
    facts |= {"tokens": tokens, "audited": {behaviour: audited.to_text()}}
    metadata = {HISTOGRAMS: {behaviour: whole.to_text()}, SCREENED: facts}
    return pa.RecordBatch.from_pydict(
        columns, schema=attach(sidecar_schema([behaviour], False, screened=True), metadata)
    )


def write_scores(
    path: Path,
    influence: Sequence[Sequence[float]],
    offsets: Sequence[Offsets] | None = None,
    rows_per_group: int = 7,
    weights: Sequence[float] | None = None,
    audit_weight: float = 1.0,
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    batch = score_batch(influence, offsets, weights=weights, audit_weight=audit_weight)
    pq.write_table(pa.Table.from_batches([batch]), path, row_group_size=rows_per_group)
    return path


@dataclass(frozen=True)
class Corpus:
    """Documents as (influence, offsets) and where the shards end; with `weights`, they were screened."""

    influence: list[list[float]]
    offsets: list[Offsets]
    shard_ends: tuple[int, ...] = ()
    weights: list[float] | None = None
    audit_weight: float = 1.0

    def write(self, folder: Path) -> list[tuple[str, Path]]:
        edges = [0, *self.shard_ends, len(self.influence)]
        parts = [slice(begin, end) for begin, end in pairwise(edges)]
        names = [f"{number:03}" for number in range(len(parts))]
        return [
            (
                name,
                write_scores(
                    folder / f"{name}.parquet",
                    self.influence[part],
                    self.offsets[part],
                    rows_per_group=3,
                    weights=None if self.weights is None else self.weights[part],
                    audit_weight=self.audit_weight,
                ),
            )
            for name, part in zip(names, parts, strict=True)
        ]
