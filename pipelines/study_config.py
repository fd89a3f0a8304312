"""What `ifcurate study` is asked to do; what is compared stands in the study's own file."""

from __future__ import annotations

from pydantic import Field

from ifcurate.model.settings import TrustSettings
from ifcurate.working import Folder


class StudyConfig(TrustSettings):
    """`ifcurate study`."""

    study: str = Field(description="YAML file that declares what is compared")
    out: Folder = Field(description="folder of all pieces and of the results; the same command continues a study")
    set: list[str] = Field([], description="KEY=VALUE in place of what the file says, such as training.max_steps=10")
    tables: list[str] = Field([], description="make only what these tables of the study show; default: all")
    launch: str | None = Field(
        None,
        description="what starts trainings and evaluations, such as 'torchrun --nproc-per-node 8 --no-python'; "
        "default: this process",
    )
    dry_run: bool = Field(
        False, exclude=True, description="list the pieces, what is done, and what the others will take; make nothing"
    )
    skip_missing: bool = Field(
        False, description="leave out arms and judges that need something that cannot be had, and say so in the tables"
    )
    figure: bool = Field(True, description="draw toxicity over perplexity")

    @property
    def only_looks(self) -> bool:
        """See `Config.only_looks`."""
        return self.dry_run
