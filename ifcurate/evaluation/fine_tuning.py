"""How a model is fine-tuned on examples in one process: settings that classifiers and preference learning share."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ifcurate.config import Config


class FineTuningSettings(Config):
    """Steps, batches and the optimizer."""

    panel = "Model and training"

    num_train_epochs: float = Field(3.0, gt=0, description="passes over the examples")
    batch_size: int = Field(32, ge=1, description="examples a step")
    per_device_train_batch_size: int | None = Field(
        None, ge=1, description="examples a forward pass, a divisor of --batch-size; default: all of it"
    )
    learning_rate: float = Field(5e-5, gt=0, description="peak; it falls as a cosine")
    warmup_ratio: float = Field(0.06, ge=0, lt=1, description="share of the steps in which the learning rate rises")
    weight_decay: float = Field(0.01, ge=0, description="of AdamW")
    save_steps: int = Field(500, ge=1, description="steps between checkpoints")


class FineTuningMachineSettings(Config):
    """What computes."""

    panel = "Machine"

    device: Literal["auto", "cpu"] = Field("auto", description="auto: a GPU where there is one")
    dtype: Literal["auto", "float32", "bfloat16"] = Field("auto", description="auto: bfloat16 on a GPU")
