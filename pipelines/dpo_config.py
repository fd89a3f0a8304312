"""What `ifcurate dpo` is asked to do."""

from __future__ import annotations

from pydantic import Field

from ifcurate.config import Restartable
from ifcurate.evaluation.fine_tuning import FineTuningMachineSettings, FineTuningSettings
from ifcurate.model.settings import RevisionSettings
from ifcurate.working import Folder


class DpoSettings(FineTuningSettings, RevisionSettings):
    """What is trained, and how."""

    panel = "Model and training"

    model: str = Field(description="folder or Hub id of the model whose completions were paired")
    beta: float = Field(0.1, gt=0, description="how strongly the model is held to what it was")
    num_train_epochs: float = Field(1.0, gt=0, description="passes over the pairs")
    batch_size: int = Field(32, ge=1, description="pairs a step")
    learning_rate: float = Field(5e-6, gt=0, description="peak; it falls as a cosine")
    weight_decay: float = Field(0.0, ge=0, description="of AdamW")


class DpoConfig(Restartable, FineTuningMachineSettings, DpoSettings):
    """`ifcurate dpo`."""

    panel = "Machine"

    pairs: str = Field(description="folder or file that `ifcurate preferences` wrote")
    out: Folder = Field(description="folder for the trained model; the same command continues a stopped training")
    seed: int = Field(0, ge=0, description="of the order of the pairs")
