"""Screening step: what a screen says of every document, in a file beside each shard."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path

import pyarrow as pa
from datatrove.data import Document, DocumentsPipeline
from datatrove.pipeline.base import PipelineStep

from ifcurate.corpus.parquet import writing_parquet
from ifcurate.corpus.shards import Shard, known
from ifcurate.pipelines.steps.read_shards import ReadShards
from ifcurate.screening.screen import Screen, load_screen
from ifcurate.screening.threshold import draw_of
from ifcurate.selection.screened import SCREEN

CHARACTERS, DRAW = "characters", "draw"
SCREENED_TEXTS = pa.schema({SCREEN: pa.float32(), CHARACTERS: pa.int64(), DRAW: pa.float64()})
"""Columns of `screened/<shard>.parquet`: one row a document; `draw` is from [0, 1), by a hash of the text."""
ROWS = 512


class ScreenTexts(PipelineStep):
    """Writes `<folder>/<shard>.parquet` for every shard; task r of n does shards r, r + n, r + 2n, ...

    Args:
        reader: of the corpus.
        screen: file of the screen, which is loaded once a process.
        folder: where the files go.
        seed: of the audit.
    """

    name = "🔎 Screen"
    type = "🧮 - SCORER"

    def __init__(self, reader: ReadShards, screen: Path, folder: Path, seed: int) -> None:
        super().__init__()
        self.reader = reader
        self.screen = screen
        self.folder = folder
        self.seed = seed

    def run(self, data: DocumentsPipeline = None, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        """Passes upstream documents on, then screens this task's shards."""
        if data:
            yield from data
        for shard in self.reader.shards[rank::world_size]:
            with self.track_time("shard"):
                self._write(shard, _loaded(self.screen))

    def _write(self, shard: Shard, screen: Screen) -> None:
        documents = ReadShards([known(shard)], self.reader.text_column, None, self.reader.bad_rows).run()
        with writing_parquet(shard.output(self.folder), SCREENED_TEXTS) as sink:
            for texts in _batches(documents):
                columns = {
                    SCREEN: screen.of(texts),
                    CHARACTERS: [len(text) for text in texts],
                    DRAW: [draw_of(text, self.seed) for text in texts],
                }
                sink.write(pa.RecordBatch.from_pydict(columns, schema=SCREENED_TEXTS))


def _batches(documents: Iterator[Document]) -> Iterator[Sequence[str]]:
    while rows := [document.text for document in islice(documents, ROWS)]:
        yield rows


@lru_cache(maxsize=1)
def _loaded(screen: Path) -> Screen:
    return load_screen(screen)
