"""Step between reading and scoring: which documents have a score, by what the screen said of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from datatrove.data import DocumentsPipeline
from datatrove.pipeline.base import PipelineStep

from ifcurate.corpus.parquet import ParquetReader
from ifcurate.errors import InputError
from ifcurate.pipelines.steps.read_shards import SHARD
from ifcurate.pipelines.steps.screen_texts import DRAW
from ifcurate.screening.threshold import draw_of
from ifcurate.selection.screened import SCREEN, WEIGHT, ScreenedFacts


class ChooseDocuments(PipelineStep):
    """Adds to every document's metadata what the screen said of it and how many documents it stands for.

    Args:
        folder: what `ScreenTexts` wrote.
        facts: threshold and audit.
    """

    name = "🔎 Choice"
    type = "🔻 - FILTER"

    def __init__(self, folder: Path, facts: ScreenedFacts) -> None:
        super().__init__()
        self.folder = folder
        self.facts = facts

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        """The same documents in the same order; those of `ReadShards`."""
        shard = None
        for document in data:
            if document.metadata[SHARD] != shard:
                shard = document.metadata[SHARD]
                path = self.folder / f"{shard}.parquet"
                rows = self._rows(path)
            said, draw = next(rows, (0.0, -1.0))
            if draw != draw_of(document.text, self.facts.seed):
                raise InputError(
                    f"{path}: is of other texts than shard {shard!r} has now; delete it, and run the same command "
                    "again."
                )
            document.metadata[SCREEN] = said
            document.metadata[WEIGHT] = self._weight(said, draw)
            self.stat_update("documents above the threshold", value=int(said >= self.facts.threshold))
            yield document

    def _weight(self, said: float, draw: float) -> float:
        if said >= self.facts.threshold:
            return 1.0
        return self.facts.weight if draw < self.facts.audit else 0.0

    def _rows(self, path: Path) -> Iterator[tuple[float, float]]:
        for batch in ParquetReader(str(path)).batches([SCREEN, DRAW]):
            yield from zip(batch[SCREEN].to_pylist(), batch[DRAW].to_pylist(), strict=True)
