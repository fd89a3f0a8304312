"""What `ifcurate study` is asked to do; what is compared stands in the study's own file."""

from __future__ import annotations

from pydantic import Field

from ifcurate.config import Config
from ifcurate.working import Folder


class StudyConfig(Config):
    """`ifcurate study`."""

    study: str = Field(description="YAML file that declares what is compared")
    out: Folder = Field(description="folder of all pieces and of the results; the same command continues a study")
    set: list[str] = Field([], description="KEY=VALUE in place of what the file says, such as training.max_steps=10")
