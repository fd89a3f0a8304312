"""Every record of a corpus measured: threads share out the score files, the records keep the order of the corpus."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from ifcurate.corpus.parquet import Part, writing_parquet
from ifcurate.selection.audit import AuditedScores, TauAudit
from ifcurate.selection.ranking import WEIGHED, Ranking
from ifcurate.selection.records import cut_records, measure_records
from ifcurate.selection.scores import ScoredTokens, Sidecar
from ifcurate.selection.settings import SelectionSettings
from ifcurate.selection.table import SELECTED
from ifcurate.threads import in_order

MEASURED = pa.schema([*list(SELECTED)[:6], *list(WEIGHED)[2:]])
"""What is known of a record before all are ranked."""


@dataclass
class Measured:
    """What is known of a corpus whose records are measured: the ranking that has observed all of them, and how many
    documents are held back."""

    ranking: Ranking
    held_back: int = 0


def measure(
    shards: Sequence[Sidecar],
    settings: SelectionSettings,
    tau: np.float32,
    path: Path,
    advance: Callable[[int], None],
    near_tau: TauAudit | None = None,
) -> Measured:
    """Write one row a record to `path`, with the columns `MEASURED`.

    Args:
        shards: in the order of the corpus.
        settings: how it is cut into records, and how many neighbours a token has.
        tau: the threshold.
        path: the file to write.
        advance: called with the number of tokens of every batch.
        near_tau: sees the scores of every batch, in order.

    Raises:
        InputError: a score file is missing or damaged.
    """
    corpus = Measured(Ranking(settings.length_exponent))
    look = (lambda scored: None) if near_tau is None else near_tau.look

    def measured(unit: tuple[Sidecar, Part]) -> list[_Batch]:
        shard, part = unit
        first_row, found = part.first_row, []
        for scored in shard.batches(part):
            found.append(_measured(shard.name, first_row, scored, settings, tau, look(scored)))
            first_row += scored.tokens.documents
        return found

    with writing_parquet(path, MEASURED) as sink:
        for batches in in_order(measured, ((shard, part) for shard in shards for part in shard.parts())):
            for batch in batches:
                if near_tau is not None and batch.audited is not None:
                    near_tau.see(batch.audited)
                corpus.ranking.merge(batch.ranking)
                corpus.held_back += batch.held_back
                sink.write(batch.records)
                advance(batch.tokens)
    return corpus


@dataclass(frozen=True)
class _Batch:
    """Consecutive documents of a shard: their records, a ranking that has observed these, their number of tokens, and
    how many are held back."""

    records: pa.RecordBatch
    ranking: Ranking
    tokens: int
    held_back: int
    audited: AuditedScores | None


def _measured(
    shard: str,
    first_row: int,
    scored: ScoredTokens,
    settings: SelectionSettings,
    tau: np.float32,
    audited: AuditedScores | None,
) -> _Batch:
    records = cut_records(scored.tokens, settings.record_length)
    measures = measure_records(scored, records, tau, settings.neighbours)
    weight, ranking = records.weights(scored), Ranking(settings.length_exponent)
    known = weight > 0
    ranking.observe(records.tokens[known], measures.sparsity[known], measures.score[known])
    rows = first_row + records.document
    columns = [rows, records.window, records.tokens, *dataclasses.astuple(measures), weight]
    arrays = [pa.repeat(shard, len(rows)), *map(pa.array, columns)]
    cast = [array.cast(field.type) for array, field in zip(arrays, MEASURED, strict=True)]
    batch = pa.RecordBatch.from_arrays(cast, schema=MEASURED)
    held_back = 0 if scored.held_back is None else int(np.count_nonzero(scored.held_back))
    return _Batch(batch, ranking, len(scored.influence), held_back, audited)
