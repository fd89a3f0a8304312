"""A pipeline step for tests of the executor; a module of its own, so that worker processes can import it."""

from __future__ import annotations

import os
import signal

from datatrove.data import Document, DocumentsPipeline
from datatrove.pipeline.base import PipelineStep

from ifcurate.errors import InputError


class Misbehave(PipelineStep):
    """What can go wrong in a worker."""

    name = "Misbehave"
    type = "TEST"

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def run(self, data: DocumentsPipeline = None, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        if rank == 1 and self.how == "refuse":
            raise InputError("file, row 1: is wrong; mend it.")
        if rank == 1 and self.how == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.how != "count":
            signal.pause()
        self.stat_update("tasks", value=rank)
        yield Document(text=str(os.getpid()), id=str(rank))
