"""What `ifcurate eval activations` is asked to do."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ifcurate.artifacts import BehaviourName
from ifcurate.config import Restartable
from ifcurate.model.settings import ContextSettings, DeviceSettings, RevisionSettings
from ifcurate.working import Folder


class ActivationsConfig(Restartable, ContextSettings, RevisionSettings, DeviceSettings):
    """`ifcurate eval activations`."""

    panel = "Machine"

    model: str = Field(description="folder or Hub id of a causal language model")
    queries: str = Field(description="queries that show the behaviour; half of them make the differences")
    contrast: str = Field(description="queries that show its contrast")
    behaviour: BehaviourName = Field("toxic", description="name of what is looked for")
    max_queries: int = Field(1000, ge=2, description="most queries a file, drawn with the seed")
    out: Folder = Field(description="folder of the activations")
    batch_tokens: int | None = Field(None, ge=1, description="positions a forward pass")
    dtype: Literal["auto", "float32", "bfloat16", "float64"] = Field("auto", description="auto: bfloat16 on a GPU")
    threads: int | None = Field(None, ge=1, description="CPU threads; default: torch's")
    seed: int = Field(42, ge=0, description="of drawing queries and of the bootstrap")
