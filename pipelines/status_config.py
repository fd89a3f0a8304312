"""Options of `ifcurate status`."""

from __future__ import annotations

from pydantic import Field

from ifcurate.config import Config
from ifcurate.working import Folder


class StatusConfig(Config):
    """Which run, and how often."""

    run: Folder = Field(description="a folder made by `annotate --executor slurm`")
    watch: bool = Field(False, description="again every few seconds, until no task has anything left to do")
