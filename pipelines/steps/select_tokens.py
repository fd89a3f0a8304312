"""Selection step: Algorithm 1 over all sidecars, in one task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from datatrove.data import DocumentsPipeline
from datatrove.pipeline.base import PipelineStep

from ifcurate.selection.algorithm import select
from ifcurate.selection.settings import SelectionSettings


class SelectTokens(PipelineStep):
    """Writes `<folder>/<behaviour>.json` and `.parquet`; runs in task 0 only, for it looks at the whole corpus.

    Args:
        sidecars: name of each shard and its file of scores.
        settings: what to select.
        folder: where the selection goes.
    """

    name = "🎯 Selection"
    type = "🧮 - SELECTOR"
    _requires_dependencies = ("duckdb", "pyarrow")

    def __init__(self, sidecars: Sequence[tuple[str, Path]], settings: SelectionSettings, folder: Path) -> None:
        super().__init__()
        self.sidecars = list(sidecars)
        self.settings = settings
        self.folder = folder

    def run(self, data: DocumentsPipeline = None, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        """Passes upstream documents on, then selects."""
        if data:
            yield from data
        if rank == 0:
            with self.track_time("selection"):
                selection = select(self.sidecars, self.settings, self.folder)
            self.stat_update("tokens selected", value=selection.tokens_selected, unit="selection")
