"""Writer: a sidecar of scores beside each shard, row for row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from datatrove.data import Document, DocumentsPipeline
from datatrove.pipeline.base import PipelineStep

from ifcurate.checksums import checked
from ifcurate.corpus.documents import ID
from ifcurate.corpus.messages import from_text, transcript
from ifcurate.corpus.parquet import ParquetSink
from ifcurate.corpus.shards import Shard, known, open_shard
from ifcurate.corpus.text_hash import TextHash
from ifcurate.errors import InputError
from ifcurate.influence.precision import Precision, rounded
from ifcurate.pipelines.steps.kept_groups import KeptGroups
from ifcurate.pipelines.steps.read_shards import SHARD, SKIPPED
from ifcurate.selection.quantile import Histogram
from ifcurate.selection.scores import (
    HISTOGRAMS,
    MESSAGE_STARTS,
    SCORES,
    TOKEN_IDS,
    ShardFacts,
    influence_column,
    selectable,
    sidecar_schema,
    writing_scores,
)
from ifcurate.selection.scores import SHARD as SHARD_FACTS
from ifcurate.selection.screened import SCREENED, ScreenedFacts, by_stratum

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

ROWS_PER_BATCH = 512


class WriteScores(PipelineStep):
    """Writes `<folder>/<shard>.parquet` for every shard that `ReadShards` reads with the same rank and world size.

    A sidecar gets its name when the shard's last row is in it, as many rows as the shard has. Its footer says what
    `metadata` says, and holds the shard's histogram of influence for each behaviour, and hashes of texts and scores.

    Args:
        shards: those that `ReadShards` was given.
        folder: where sidecars go.
        behaviours: which influence to store.
        metadata: what decided the scores, for the footer.
        with_loss: store each token's loss too.
        messages: documents are messages, and `loss_mask` says which of their tokens carry a loss.
        screened: how the documents were chosen that have a score; None: all have one.
        kept: groups that `ScoreTokens` keeps, deleted once their shard's sidecar is finished.
        precision: how exactly influence is stored.
    """

    name = "✍️ Scores"
    type = "💽 - WRITER"
    _requires_dependencies = ("pyarrow",)

    def __init__(
        self,
        shards: Sequence[Shard],
        folder: Path,
        behaviours: Sequence[str],
        metadata: Mapping[str, Any],
        with_loss: bool = False,
        kept: KeptGroups | None = None,
        messages: bool = False,
        screened: ScreenedFacts | None = None,
        precision: Precision = "float32",
    ) -> None:
        super().__init__()
        self.shards = [known(shard) for shard in shards]
        self.folder = folder
        self.behaviours = list(behaviours)
        self.metadata = dict(metadata)
        self.with_loss = with_loss
        self.kept = kept
        self.messages = messages
        self.screened = screened
        self.precision: Precision = precision

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        """Passes the documents on after their row is written."""
        documents = _Peekable(iter(data))
        for shard in self.shards[rank::world_size]:
            yield from self._write_shard(shard, documents)

    def _write_shard(self, shard: Shard, documents: _Peekable) -> DocumentsPipeline:
        expected = open_shard(shard).num_rows
        columns = sidecar_schema(self.behaviours, self.with_loss, self.messages, self.screened is not None)
        counted = {behaviour: Counted() for behaviour in self.behaviours}
        tokens = skipped = 0
        texts, scores = TextHash(), sha256()
        with writing_scores(shard.output(self.folder), columns) as sink:
            of_shard = documents.take_while_in(shard.name)
            while rows := list(islice(of_shard, ROWS_PER_BATCH)):
                tokens += self._write_rows(rows, columns, sink, counted, scores)
                texts.add(None if SKIPPED in row.metadata else row.text for row in rows)
                skipped += sum(SKIPPED in row.metadata for row in rows)
                yield from rows
            if sink.num_rows != expected:
                raise InputError(
                    f"{shard.path}: {sink.num_rows:,} of its {expected:,} rows were scored; "
                    "leave every document in the pipeline until the scores are written."
                )
            facts = ShardFacts(size=shard.size, rows=sink.num_rows, texts=texts.hexdigest(), skipped=skipped)
            texts_of_counts = {behaviour: of_one.whole.to_text() for behaviour, of_one in counted.items()}
            found = {SHARD_FACTS: facts.model_dump(), SCORES: scores.hexdigest(), HISTOGRAMS: texts_of_counts}
            if self.screened is not None:
                found[SCREENED] = self._screened(counted)
            sink.describe(checked({**self.metadata, "tokens": tokens, **found}))
        if self.kept is not None:
            self.kept.remove(shard.name)
        self.stat_update("shards", value=1, unit="shard")

    def _screened(self, counted: Mapping[str, Counted]) -> dict[str, Any]:
        """What this shard says of the choice of its documents."""
        assert self.screened is not None
        tokens = max((of_one.tokens for of_one in counted.values()), default=0)
        audited = {behaviour: of_one.audited.to_text() for behaviour, of_one in counted.items()}
        return self.screened.model_copy(update={"tokens": tokens, "audited": audited}).model_dump()

    def _write_rows(
        self,
        rows: list[Document],
        columns: pa.Schema,
        sink: ParquetSink,
        counted: Mapping[str, Counted],
        scores: Hash,
    ) -> int:
        values: dict[str, list[Any]] = {
            name: [document.metadata[name] for document in rows]
            for name in columns.names
            if name not in (ID, MESSAGE_STARTS)
        }
        values[ID] = [document.id for document in rows]
        if self.messages:
            values[MESSAGE_STARTS] = [transcript(from_text(document.text)).starts for document in rows]
        batch = _rounded(pa.RecordBatch.from_pydict(values, schema=columns), self.behaviours, self.precision)
        for behaviour, of_one in counted.items():
            of_one.add(batch, behaviour)
            scores.update(batch.column(influence_column(behaviour)).flatten().to_numpy().tobytes())
        sink.write(batch)
        return len(batch.column(TOKEN_IDS).flatten())


def _rounded(batch: pa.RecordBatch, behaviours: Sequence[str], precision: Precision) -> pa.RecordBatch:
    """A batch whose influence is stored no more exactly than that."""
    if precision == "float32":
        return batch
    for name in map(influence_column, behaviours):
        column = batch.column(name)
        values = rounded(column.values.to_numpy(), precision)
        lists = pa.ListArray.from_arrays(column.offsets, pa.array(values), type=column.type, mask=column.is_null())
        batch = batch.set_column(batch.schema.get_field_index(name), batch.schema.field(name), lists)
    return batch


@dataclass
class Counted:
    """Histograms of one behaviour's influence in a shard, of all and of the audit, and the tokens to select from."""

    whole: Histogram = field(default_factory=Histogram)
    audited: Histogram = field(default_factory=Histogram)
    tokens: int = 0

    def add(self, batch: pa.RecordBatch, behaviour: str) -> None:
        """Count rows of a score file."""
        chosen = selectable(batch)
        self.tokens += len(batch.column(TOKEN_IDS).flatten()) if chosen is None else int(chosen.sum())
        for stratum, part in by_stratum(batch):
            influence = part.column(influence_column(behaviour)).flatten().to_numpy().astype(np.float32, copy=False)
            if (chosen := selectable(part)) is not None:
                influence = influence[chosen]
            self.whole.add(influence)
            if stratum:
                self.audited.add(influence)


class _Peekable:
    """Documents, of which the next one can be looked at before it is taken."""

    def __init__(self, documents: Iterator[Document]) -> None:
        self._documents = documents
        self._next = next(documents, None)

    def take_while_in(self, shard: str) -> Iterator[Document]:
        """The documents of `shard`, as long as they come."""
        while self._next is not None and self._next.metadata.get(SHARD) == shard:
            yield self._next
            self._next = next(self._documents, None)
