"""What `ifcurate report` is asked to show."""

from __future__ import annotations

from pydantic import Field

from ifcurate.config import Config
from ifcurate.working import Folder


class ReportConfig(Config):
    """`ifcurate report`."""

    run: Folder = Field(description="a run that is written")
    columns: list[str] = Field(
        default_factory=list,
        description="columns by which selected tokens are counted, dotted where nested; default: those with few values",
    )
    evaluation: str | None = Field(
        None,
        description="folder with the comparison.json of `ifcurate eval`; default: RUN/evaluation, if it holds one",
    )

    @property
    def folders(self) -> list[str]:
        """Those that the command writes to."""
        return [self.run]
