"""Counting step: what an annotator has to know of every shard before any is marked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from datatrove.data import Document, DocumentsPipeline
from datatrove.pipeline.base import PipelineStep

from ifcurate.annotators import ANNOTATORS
from ifcurate.annotators.base import Counts, State, read_text
from ifcurate.corpus.shards import Shard, known
from ifcurate.files import write_text
from ifcurate.pipelines.steps.read_shards import ReadShards

ROWS = 512


class CountTexts(PipelineStep):
    """Writes `<folder>/<shard>.json` for every shard; task r of n does shards r, r + n, r + 2n, ...

    Args:
        reader: of the corpus.
        annotator: its name.
        state: what it is made of.
        folder: where the files go.
        messages: documents are messages.
    """

    name = "🔢 Counts"
    type = "🧮 - SCORER"

    def __init__(self, reader: ReadShards, annotator: str, state: State, folder: Path, messages: bool) -> None:
        super().__init__()
        self.reader = reader
        self.annotator = annotator
        self.state = state
        self.folder = folder
        self.messages = messages

    def run(self, data: DocumentsPipeline = None, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        """Passes upstream documents on, then counts in this task's shards."""
        if data:
            yield from data
        for shard in self.reader.shards[rank::world_size]:
            with self.track_time("shard"):
                write_text(counts_file(self.folder, shard), json.dumps(self._count(shard), ensure_ascii=False))

    def _count(self, shard: Shard) -> Counts:
        kind, found = ANNOTATORS[self.annotator].kind, dict[str, int]()
        documents = ReadShards([known(shard)], self.reader.text_column, None, self.reader.bad_rows).run()
        for texts in self._batches(documents):
            add(found, kind.count(self.state, texts))
        return found

    def _batches(self, documents: Iterator[Document]) -> Iterator[list[str]]:
        while rows := [read_text(document.text, self.messages) for document in islice(documents, ROWS)]:
            yield rows


def counts_file(folder: Path, shard: Shard) -> Path:
    """Where the counts of a shard are."""
    return folder / f"{shard.name}.json"


def add(total: Counts, part: Counts) -> None:
    """Add the counts of a part to those of all."""
    for name, count in part.items():
        total[name] = total.get(name, 0) + count
