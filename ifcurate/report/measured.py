"""Every record of a corpus measured at several thresholds at once: what selections with them would rank."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ifcurate.corpus.parquet import ParquetReader, writing_parquet
from ifcurate.selection.ranking import RANKED, Ranking
from ifcurate.selection.records import cut_records, measure_records
from ifcurate.selection.scores import Sidecar
from ifcurate.selection.settings import SelectionSettings
from ifcurate.selection.table import Selection
from ifcurate.selection.thresholds import corpus_strata, corpus_taus

ROWS = 1 << 16
PLACED = pa.schema([*RANKED, pa.field("document", pa.int64()), pa.field("window", pa.int32())])
"""A record that was ranked, and the document of the corpus, counted from 0, and its window that it is."""


@dataclass(frozen=True)
class MeasuredRecords:
    """A file of measures, one row a record, in the order of the corpus.

    Attributes:
        path: Parquet with the columns document, window, tokens, and `<measure>_<k>` for each threshold k.
        taus: the thresholds.
        rankings: one a threshold, which have observed all records.
        above: tokens above each threshold.
        reach: tokens that each gives up without a budget.
        tokens: of the corpus.
        documents: of the corpus.
    """

    path: Path
    taus: list[np.float32]
    rankings: list[Ranking]
    above: list[int]
    reach: list[int]
    tokens: int
    documents: int

    def ranked(self, threshold: int) -> pa.RecordBatchReader:
        """The columns `PLACED` of every record, at the threshold of that number."""
        measures = [f"{name}_{threshold}" for name in ("sparsity", "score", "reach")]

        def batches() -> Iterator[pa.RecordBatch]:
            first = 0
            for batch in ParquetReader(str(self.path)).batches(["document", "window", "tokens", *measures], ROWS):
                tokens, sparsity, score = (batch[name].to_numpy() for name in ("tokens", *measures[:2]))
                rank = self.rankings[threshold].rank(tokens, sparsity, score)
                position = pa.array(np.arange(first, first + batch.num_rows))
                columns = [position, pa.array(rank), batch[measures[2]], batch["document"], batch["window"]]
                yield pa.RecordBatch.from_arrays(columns, schema=PLACED)
                first += batch.num_rows

        return pa.RecordBatchReader.from_batches(PLACED, batches())


def measure_corpus(
    shards: Sequence[Sidecar], settings: SelectionSettings, quantiles: Sequence[float], out: Path
) -> MeasuredRecords:
    """Measure every record at each of the `quantiles`, as `select` does at one.

    Args:
        shards: in the order of the corpus.
        settings: all but the quantile are taken from them; what is ranked is a document or a window.
        quantiles: each in [0, 1]; not read where the settings give tau itself.
        out: the file to write.

    Raises:
        InputError: a score file is missing or damaged.
    """
    strata, tokens = corpus_strata(shards)
    given = settings.threshold
    taus = corpus_taus(shards, strata, quantiles) if given is None else [np.float32(given)]
    rankings = [Ranking(settings.length_exponent) for _ in taus]
    above, reach = np.zeros(len(taus), np.int64), np.zeros(len(taus), np.int64)
    documents = 0
    with writing_parquet(out, _schema(len(taus))) as sink:
        for shard in shards:
            for scored in shard.batches():
                records = cut_records(scored.tokens, settings.record_length)
                columns: list[NDArray[np.generic]] = [documents + records.document, records.window, records.tokens]
                for number, tau in enumerate(taus):
                    measures = measure_records(scored, records, tau, settings.neighbours)
                    known = records.weights(scored) > 0
                    rankings[number].observe(records.tokens[known], measures.sparsity[known], measures.score[known])
                    above[number] += measures.sparsity.sum()
                    reach[number] += measures.reach.sum()
                    columns += [measures.sparsity, measures.score, measures.reach]
                arrays = [pa.array(c).cast(f.type) for c, f in zip(columns, _schema(len(taus)), strict=True)]
                sink.write(pa.RecordBatch.from_arrays(arrays, schema=_schema(len(taus))))
                documents += scored.tokens.documents
    return MeasuredRecords(out, taus, rankings, above.tolist(), reach.tolist(), tokens, documents)


def measured_selection(table: Path, selection: Selection, out: Path) -> MeasuredRecords:
    """What was selected, as if no document had any more to give up: of the highest tokens, whatever their documents.

    Args:
        table: `selection/<behaviour>.parquet`.
        selection: its summary, of documents.
        out: the file to write.

    Raises:
        InputError: the table is missing or damaged.
    """
    ranking, documents = Ranking(selection.length_exponent), 0
    with writing_parquet(out, _schema(1)) as sink:
        for batch in ParquetReader(str(table)).batches(rows=ROWS):
            tokens, sparsity, score = (batch[name].to_numpy() for name in ("tokens", "sparsity", "score"))
            ranking.observe(tokens, sparsity, score)
            number = np.arange(documents, documents + batch.num_rows)
            columns = [number, np.zeros_like(number), tokens, sparsity, score, batch["selected"].to_numpy()]
            arrays = [pa.array(c).cast(f.type) for c, f in zip(columns, _schema(1), strict=True)]
            sink.write(pa.RecordBatch.from_arrays(arrays, schema=_schema(1)))
            documents += batch.num_rows
    above, reach = [selection.tokens_above_tau], [selection.tokens_selected]
    return MeasuredRecords(out, [np.float32(selection.tau)], [ranking], above, reach, selection.tokens, documents)


def _schema(thresholds: int) -> pa.Schema:
    fields = [pa.field("document", pa.int64()), pa.field("window", pa.int32()), pa.field("tokens", pa.int32())]
    for number in range(thresholds):
        fields += [
            pa.field(f"sparsity_{number}", pa.int32()),
            pa.field(f"score_{number}", pa.float64()),
            pa.field(f"reach_{number}", pa.int64()),
        ]
    return pa.schema(fields)
