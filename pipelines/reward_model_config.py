"""What `ifcurate reward-model` is asked to do."""

from __future__ import annotations

from pydantic import Field

from ifcurate.artifacts import BehaviourName
from ifcurate.config import Restartable
from ifcurate.evaluation.config import LabelSettings
from ifcurate.evaluation.fine_tuning import FineTuningMachineSettings, FineTuningSettings
from ifcurate.model.settings import RevisionSettings
from ifcurate.working import Folder


class HoldingOutSettings(LabelSettings, RevisionSettings):
    """What is not trained on."""

    panel = "Labelled texts"

    held_out: float = Field(0.1, gt=0, lt=1, description="share of the texts that is not trained on, by their hash")


class RewardSettings(HoldingOutSettings):
    """What is fine-tuned."""

    panel = "Model and training"

    model: str = Field(description="folder or Hub id of a causal language model or an encoder")
    label: BehaviourName = Field("toxic", description="name of the model's output")
    max_length: int | None = Field(None, ge=1, description="tokens of a text that are read; default: what fits, to 512")


class RewardModelConfig(Restartable, FineTuningMachineSettings, FineTuningSettings, RewardSettings):
    """`ifcurate reward-model`."""

    panel = "Machine"

    source: str = Field(
        description="labelled texts: files of .parquet, .arrow, .jsonl[.gz|.zst], .csv[.gz|.zst], or a Hub id"
    )
    out: Folder = Field(description="folder of the classifier; the same command continues a stopped training")
    seed: int = Field(0, ge=0, description="of the head, the order, the texts held out and the bootstrap")
