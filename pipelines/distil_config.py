"""What `ifcurate distil` is asked to do."""

from __future__ import annotations

from pydantic import Field, field_validator

from ifcurate.config import Config, Restartable
from ifcurate.model.settings import DeviceSettings, RevisionSettings
from ifcurate.screening.settings import percentage
from ifcurate.working import Folder


class LearningSettings(Config):
    """How a student learns."""

    panel = "Learning"

    epochs: int = Field(3, ge=1, description="passes over the scored tokens")
    learning_rate: float = Field(5e-4, gt=0, allow_inf_nan=False, description="peak; larger students want less")
    tokens_per_step: int = Field(8192, ge=1, description="positions an optimizer step, padding included")
    held_out: str = Field(
        "5%", description="of the documents, drawn by a hash of the text: the student is measured there"
    )
    save_steps: int = Field(200, ge=1, description="steps after which a stopped command goes on")
    seed: int = Field(0, ge=0, description="of the draw and of the order in which windows are learnt")

    @property
    def held_out_share(self) -> float:
        """From 0 to 1."""
        return percentage(self.held_out)

    @field_validator("held_out")
    @classmethod
    def _is_a_percentage(cls, value: str) -> str:
        if not 0 < percentage(value) < 1:
            raise ValueError("must be more than 0% and less than 100%, such as 5%")
        return value


class DistilConfig(Restartable, LearningSettings, DeviceSettings, RevisionSettings):
    """`ifcurate distil`."""

    run: Folder = Field(description="a scored run, whose influence is learnt")
    student: str = Field(description="folder or Hub id of a small decoder-only model with the run's tokenizer")
    out: Folder = Field(description="folder of the student; the same command continues a stopped one")
    behaviour: str | None = Field(None, description="whose influence is learnt; default: the only one there is")
    corpus: str | None = Field(None, description="where the run's corpus is now; default: where it was")
