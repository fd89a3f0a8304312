"""Writer: the annotated corpus, shard by shard."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from datatrove.data import DocumentsPipeline
from datatrove.pipeline.base import PipelineStep

from ifcurate.annotation.changed import TextCheck
from ifcurate.annotation.columns import annotation_columns
from ifcurate.annotation.lines import append_to_lines, write_as_lines
from ifcurate.annotation.schema import written_fields
from ifcurate.annotation.writer import write_annotated
from ifcurate.corpus.parquet import ParquetReader
from ifcurate.corpus.shards import Shard, known
from ifcurate.errors import InputError
from ifcurate.pipelines.heartbeat import beat
from ifcurate.selection.scores import LOSS, TOKEN_IDS, sidecar_metadata
from ifcurate.selection.table import Selection, ShardRecords


class WriteAnnotations(PipelineStep):
    """Writes every shard to `data` under its name: each input column as it was, then the columns of each behaviour.

    Task r of n writes shards r, r + n, r + 2n, ...; it reads input, scores and selection itself and takes no documents.

    Args:
        shards: the corpus.
        scores: folder of the sidecars.
        selection: folder of the selection.
        data: where annotated shards go.
        behaviours: whose columns.
        metadata: what to say in the schema under the key `ifcurate`, by behaviour.
        token_ids: whether to add the column `token_ids`.
        with_loss: whether to add the column `loss`, which the sidecars must have.
        beats: folder for progress, watched by the recipe.
        output_format: `same` as the input's, `parquet` or `jsonl`.
        text_column: column that holds the documents, which must be those that were scored.
        messages: the documents are messages.
    """

    name = "🏷️ Annotations"
    type = "💽 - WRITER"
    _requires_dependencies = ("pyarrow",)

    def __init__(
        self,
        shards: Sequence[Shard],
        scores: Path,
        selection: Path,
        data: Path,
        behaviours: Sequence[str],
        metadata: Mapping[str, Any],
        token_ids: bool = True,
        with_loss: bool = False,
        beats: Path | None = None,
        output_format: str = "same",
        text_column: str = "text",
        messages: bool = False,
    ) -> None:
        super().__init__()
        self.shards = [known(shard) for shard in shards]
        self.scores = scores
        self.selection = selection
        self.data = data
        self.behaviours = list(behaviours)
        self.metadata = dict(metadata)
        self.token_ids = token_ids
        self.with_loss = with_loss
        self.beats = beats
        self.output_format = output_format
        self.text_column = text_column
        self.messages = messages

    def run(self, data: DocumentsPipeline = None, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        """Passes upstream documents on, then writes this task's shards."""
        if data:
            yield from data
        selections = [Selection.load(self.selection, behaviour) for behaviour in self.behaviours]
        fields = written_fields(self.behaviours, self.token_ids, self.with_loss, self.messages)
        for shard in self.shards[rank::world_size]:
            with self.track_time("shard"):
                annotations = self._annotations(shard, selections)
                written = self._write(shard, fields, annotations)
            self.stat_update("documents", value=written, unit="shard")

    def _write(self, shard: Shard, fields: Sequence[pa.Field], annotations: Iterator[pa.RecordBatch]) -> int:
        path, texts = shard.annotated(self.data, self.output_format), self._text_check(shard)
        if path.suffix in (".parquet", ".arrow"):
            return write_annotated(shard, path, fields, annotations, self.metadata, texts)
        write = append_to_lines if shard.holds_lines else write_as_lines
        return write(shard, path, fields, annotations, texts)

    def _text_check(self, shard: Shard) -> TextCheck:
        sidecar = shard.output(self.scores)
        facts = sidecar_metadata(sidecar).shard
        if facts is None:
            raise InputError(f"{sidecar}: does not say which texts it is of; delete it and score its shard again.")
        return TextCheck(shard, self.text_column, facts.texts)

    def _annotations(self, shard: Shard, selections: Sequence[Selection]) -> Iterator[pa.RecordBatch]:
        sidecar = shard.output(self.scores)
        reader = ParquetReader(str(sidecar))
        records = [ShardRecords.load(self.selection, selection.behaviour, shard.name) for selection in selections]
        row = tokens = 0
        for batch in reader.batches():
            columns = {LOSS: batch.column(LOSS)} if self.with_loss else {}
            for selection, of_shard in zip(selections, records, strict=True):
                selected = of_shard.of_rows(row, batch.num_rows)
                columns |= annotation_columns(batch, selected, selection, str(sidecar))
            row += batch.num_rows
            tokens += len(columns[TOKEN_IDS].flatten())
            if self.beats is not None:
                beat(self.beats, shard.name, shard.size * row / max(reader.num_rows, 1), tokens)
            yield pa.RecordBatch.from_pydict(columns)
