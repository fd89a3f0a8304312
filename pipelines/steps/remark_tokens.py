"""Step of annotators over the scores of other runs: the tokens of these, and what is made of their scores."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby, islice
from pathlib import Path
from typing import Any, NamedTuple

import datatrove.data
import numpy as np
from datatrove.data import DocumentsPipeline
from datatrove.pipeline.base import PipelineStep
from numpy.typing import NDArray

from ifcurate.annotators.base import Annotator, Document, ScoredRun
from ifcurate.annotators.kept import read_annotator
from ifcurate.annotators.loading import MarkSettings
from ifcurate.corpus.parquet import ParquetReader
from ifcurate.corpus.text_hash import TextHash
from ifcurate.errors import InputError
from ifcurate.pipelines.heartbeat import Pulse
from ifcurate.pipelines.steps.read_shards import ROW, SHARD, SKIPPED
from ifcurate.selection.scores import (
    LOSS_MASK,
    TOKEN_ENDS,
    TOKEN_IDS,
    TOKEN_STARTS,
    influence_column,
    sidecar_metadata,
)

ROWS = 512


class RemarkTokens(PipelineStep):
    """Adds to the documents of `ReadShards` what `ScoreTokens` adds, from the score files of other runs.

    Args:
        settings: the annotator, and the runs that it was asked for.
        pulse: see `ScoreTokens`.
    """

    name = "🧮 Marks from scores"
    type = "🧮 - SCORER"

    def __init__(self, settings: MarkSettings, pulse: Pulse | None = None) -> None:
        super().__init__()
        self.settings = settings
        self.pulse = pulse

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        """The same documents in the same order."""
        kept = read_annotator(self.settings.annotator)
        annotator = kept.load(self.settings.asked)
        for shard, documents in groupby(data, key=lambda document: str(document.metadata[SHARD])):
            with self.track_time("shard"):
                yield from self._of_shard(shard, documents, annotator, influence_column(kept.behaviour))

    def _of_shard(
        self, shard: str, documents: Iterator[datatrove.data.Document], annotator: Annotator, column: str
    ) -> DocumentsPipeline:
        runs, texts = self.settings.asked.of, TextHash()
        files = [scored.sidecar(shard) for scored in runs]
        streams = [_rows(file, scored) for file, scored in zip(files, runs, strict=True)]
        while group := list(islice(documents, ROWS)):
            found = [list(islice(stream, len(group))) for stream in streams]
            _require_same_tokens(found, files, len(group))
            read = [
                Document(rows[0].ids, rows[0].starts, rows[0].ends, scores=tuple(row.scores for row in rows))
                for rows in zip(*found, strict=True)
            ]
            for document, row, marks in zip(group, found[0], annotator.marks(read), strict=True):
                values: dict[str, NDArray[Any]] = {
                    TOKEN_IDS: row.ids,
                    TOKEN_STARTS: row.starts,
                    TOKEN_ENDS: row.ends,
                    column: marks,
                }
                values |= {} if row.loss_mask is None else {LOSS_MASK: row.loss_mask}
                document.metadata |= {name: value.tolist() for name, value in values.items()}
            texts.add(None if SKIPPED in document.metadata else document.text for document in group)
            self._count(group, sum(map(len, read)))
            yield from group
        for file in files:
            facts = sidecar_metadata(file).shard
            if facts is None or facts.texts != texts.hexdigest():
                raise InputError(f"{file}: is of other texts than shard {shard!r} has now; score it again in that run.")

    def _count(self, group: list[datatrove.data.Document], tokens: int) -> None:
        if self.pulse is not None:
            first = group[0].metadata
            self.pulse.group(first[SHARD], first[ROW], len(group), tokens)(tokens)
        for label in ("tokens", "positions"):
            self.stat_update(label, value=tokens, unit="group")


class _Row(NamedTuple):
    """The tokens of a document, and what they were scored in one run."""

    ids: NDArray[np.int32]
    starts: NDArray[np.int32]
    ends: NDArray[np.int32]
    scores: NDArray[np.float32]
    loss_mask: NDArray[np.bool_] | None = None


def _rows(file: Path, scored: ScoredRun) -> Iterator[_Row]:
    reader = ParquetReader(str(file))
    columns = [TOKEN_IDS, TOKEN_STARTS, TOKEN_ENDS, influence_column(scored.behaviour)]
    columns += [LOSS_MASK] if LOSS_MASK in reader.schema.names else []
    for batch in filter(len, reader.batches(columns)):
        lists = []
        for name in columns:
            ends = np.cumsum(batch.column(name).value_lengths().to_numpy())
            lists.append(np.split(batch.column(name).flatten().to_numpy(zero_copy_only=False), ends[:-1]))
        yield from (_Row(*row) for row in zip(*lists, strict=True))


def _require_same_tokens(found: list[list[_Row]], files: list[Path], documents: int) -> None:
    for file, rows in zip(files, found, strict=True):
        if len(rows) != documents or not all(
            np.array_equal(row.ids, first.ids) for row, first in zip(rows, found[0], strict=True)
        ):
            raise InputError(
                f"{file}: is of other documents or tokens than {files[0]} or the corpus; give runs that agree."
            )
