"""What `ifcurate preferences` is asked to do."""

from __future__ import annotations

from pydantic import Field

from ifcurate.config import Restartable
from ifcurate.evaluation.config import ClassifierSettings, PromptTableSettings, SamplingConfig
from ifcurate.model.settings import DeviceSettings, RevisionSettings
from ifcurate.working import Folder


class PairSettings(PromptTableSettings, SamplingConfig):
    """Whose completions are compared."""

    panel = "Pairs"

    prompts: str = Field(description="training prompts: rtp, a Hub id or a file; never those that are evaluated on")
    sample: int | None = Field(None, ge=1, description="prompts to draw; default: all")
    least_gap: float = Field(0.5, gt=0, le=1, description="scores of a pair differ by at least this")


class PreferencesConfig(PairSettings, ClassifierSettings, Restartable, RevisionSettings, DeviceSettings):
    """`ifcurate preferences`."""

    panel = "Machine"

    model: str = Field(description="folder or Hub id of the model that is to learn from them")
    out: Folder = Field(description="folder of the pairs; the same command continues a stopped run")
    threads: int | None = Field(None, ge=1, description="CPU threads a process; default: torch's")
    seed: int = Field(42, ge=0, description="of sampling and of drawing prompts")
