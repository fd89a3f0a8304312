"""What `ifcurate verify` is asked to do."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from ifcurate.config import Restartable
from ifcurate.model.settings import RevisionSettings
from ifcurate.training.config import TrainMachineSettings
from ifcurate.working import Folder

FOLDER = "verify"
"""Below the run."""


class RetrainingSettings(RevisionSettings):
    """What is trained, on how much."""

    panel = "Training"

    model: str | None = Field(None, description="folder or Hub id of the checkpoint to begin from; default: the run's")
    rows: int = Field(4096, ge=1, description="rows to train on, filled with documents of the run drawn with the seed")
    context: int | None = Field(None, ge=8, description="tokens a row; default: the run's, or the model's")
    steps: int | None = Field(None, ge=1, description="optimizer steps of every model; default: one pass over the rows")
    seeds: int = Field(3, ge=1, description="models an arm: orders of the rows, and draws of the random tokens")
    tokens_per_step: int | None = Field(None, ge=2, description="tokens an optimizer step; default: 16 rows")
    per_device_train_batch_size: int | None = Field(None, ge=1, description="rows a forward pass; default: at most 16")
    learning_rate: float = Field(3e-4, gt=0, description="peak; it falls as a cosine")
    save_steps: int = Field(100, ge=1, description="steps between checkpoints of the model that is being trained")
    keep_models: bool = Field(False, description="keep every trained model, not only its losses")


class HeldOutSettings(RetrainingSettings):
    """What the loss is measured on."""

    panel = "Held-out text"

    queries: str | None = Field(
        None, description="held-out queries of the behaviour; default: those of the run that --max-queries left over"
    )
    most_queries: int = Field(1000, ge=1, description="most queries to measure on, drawn with the seed")
    near_duplicate: float = Field(0.8, gt=0, le=1, description="Jaccard index of queries that are nearly the same")
    eval_file: str | None = Field(
        None, description="ordinary text: a shard or folder of shards; default: other documents of the run"
    )
    eval_tokens: int = Field(65_536, ge=1, description="tokens of ordinary text that are drawn from the run")


class VerifyConfig(Restartable, TrainMachineSettings, HeldOutSettings):
    """`ifcurate verify`."""

    run: Folder = Field(description="a run with an annotated corpus")
    behaviour: str | None = Field(None, description="whose marks are verified; default: the only one there is")
    out: Folder | None = Field(None, description="folder of the results; default: RUN/verify")

    @property
    def folder(self) -> Path:
        """Where the results go."""
        return Path(self.out) if self.out is not None else Path(self.run) / FOLDER

    @property
    def folders(self) -> list[str]:
        """What the command writes to."""
        return [str(self.folder)]
