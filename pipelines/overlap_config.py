"""What `ifcurate overlap` is asked to do."""

from __future__ import annotations

from pydantic import Field

from ifcurate.artifacts import BehaviourName
from ifcurate.config import Config


class OverlapConfig(Config):
    """`ifcurate overlap`."""

    runs: list[str] = Field(min_length=2, description="runs, or folders of annotated shards, of one corpus")
    behaviour: BehaviourName = Field("toxic", description="whose marks are compared")
    text_column: str = Field("text", description="column that holds the documents")
    out: str | None = Field(None, description="JSON file of the results, on disk or at a URL")
    seed: int = Field(0, ge=0, description="of the bootstrap intervals")
