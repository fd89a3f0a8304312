"""What `ifcurate reward-model` is asked to do."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ifcurate.artifacts import BehaviourName
from ifcurate.config import Restartable
from ifcurate.evaluation.config import LabelSettings
from ifcurate.model.settings import RevisionSettings
from ifcurate.working import Folder


class HoldingOutSettings(LabelSettings, RevisionSettings):
    """What is not trained on."""

    panel = "Labelled texts"

    held_out: float = Field(0.1, gt=0, lt=1, description="share of the texts that is not trained on, by their hash")


class FineTuningSettings(HoldingOutSettings):
    """What is fine-tuned, and how."""

    panel = "Model and training"

    model: str = Field(description="folder or Hub id of a causal language model or an encoder")
    label: BehaviourName = Field("toxic", description="name of the model's output")
    max_length: int | None = Field(None, ge=1, description="tokens of a text that are read; default: what fits, to 512")
    num_train_epochs: float = Field(3.0, gt=0, description="passes over the texts")
    batch_size: int = Field(32, ge=1, description="texts a step")
    per_device_train_batch_size: int | None = Field(
        None, ge=1, description="texts a forward pass, a divisor of --batch-size; default: all of it"
    )
    learning_rate: float = Field(5e-5, gt=0, description="peak; it falls as a cosine")
    warmup_ratio: float = Field(0.06, ge=0, lt=1, description="share of the steps in which the learning rate rises")
    weight_decay: float = Field(0.01, ge=0, description="of AdamW")
    save_steps: int = Field(500, ge=1, description="steps between checkpoints")


class RewardModelConfig(Restartable, FineTuningSettings):
    """`ifcurate reward-model`."""

    panel = "Machine"

    source: str = Field(
        description="labelled texts: files of .parquet, .arrow, .jsonl[.gz|.zst], .csv[.gz|.zst], or a Hub id"
    )
    out: Folder = Field(description="folder of the classifier; the same command continues a stopped training")
    device: Literal["auto", "cpu"] = Field("auto", description="auto: a GPU where there is one")
    dtype: Literal["auto", "float32", "bfloat16"] = Field("auto", description="auto: bfloat16 on a GPU")
    seed: int = Field(0, ge=0, description="of the head, the order, the texts held out and the bootstrap")
