"""What `ifcurate combine` is asked to do."""

from __future__ import annotations

from pydantic import Field

from ifcurate.config import Restartable
from ifcurate.working import Folder


class CombineConfig(Restartable):
    """`ifcurate combine`."""

    runs: list[Folder] = Field(min_length=2, description="scored runs of one corpus, each with a checkpoint of its own")
    out: Folder = Field(description="the run folder of the sums")
    behaviour: str | None = Field(None, description="whose influence is added up; default: the only one there is")
