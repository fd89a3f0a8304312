"""What the demo is asked to do."""

from __future__ import annotations

from pydantic import Field

from ifcurate.config import Restartable
from ifcurate.working import Folder


class DemoConfig(Restartable):
    """Settings of the demo."""

    out: Folder = Field("demo", description="folder for corpus, model and run")
    documents: int = Field(5000, ge=200, description="texts to generate")
    epochs: float = Field(2.0, gt=0, description="passes over the corpus in training")
    steps: int = Field(80, ge=1, description="optimizer steps of the training with a penalty")
    workers: int | None = Field(None, ge=1, description="processes that score; default: all cores")
    seed: int = Field(0, ge=0, description="seed of the texts, the model and the run")
