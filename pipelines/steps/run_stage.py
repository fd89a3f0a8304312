"""A stage of a run as a step, which finds in the run folder what to do, and can therefore be done again."""

from __future__ import annotations

from datatrove.data import DocumentsPipeline
from datatrove.pipeline.base import PipelineStep

from ifcurate.pipelines.stage_shares import SHARES


class RunStage(PipelineStep):
    """Does what is missing of a stage of the run in `folder`; takes no documents.

    Task r of n of `score` and `write` does shards r, r + n, r + 2n, ...; other stages are for one task.

    Args:
        folder: a run folder that all tasks see.
        stage: one of `SHARES`.
    """

    name = "🧲 Stage of a run"
    type = "🧮 - SCORER"

    def __init__(self, folder: str, stage: str) -> None:
        super().__init__()
        self.folder = folder
        self.stage = stage

    def run(self, data: DocumentsPipeline = None, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        """Passes upstream documents on, then works."""
        if data:
            yield from data
        with self.track_time("stage"):
            SHARES[self.stage](self.folder, rank, world_size)
