"""What a training is asked to do: every option of `ifcurate train`, with its default."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from ifcurate.config import Config
from ifcurate.training.penalty import PenaltyForm, parse_penalties, parse_penalty

PRESETS: dict[str, dict[str, Any]] = {
    "paper": {"penalty_form": "ascent", "penalty": ["1"]},
    "gentle": {"penalty_form": "ascent", "penalty": ["0.5"]},
}
"""Named settings; whatever is given explicitly overrides them. `paper`: IF-Guide as published. `gentle`: most of its
effect for a tenth of its price in perplexity, by `benchmarks/frontier.py`."""

FINE_TUNING_RATE = 6e-5
FROM_SCRATCH_RATE = 6e-4
FINE_TUNING_STEPS = 2000
FROM_SCRATCH_EPOCHS = 4.0


class TrainConfig(Config):
    """Settings of a training; names are those of the options and of `training.yaml`. Defaults are the paper's."""

    data: str = Field(description="run folder, or folder, glob or Hub data set with the annotated columns")
    out: str = Field(description="folder for the trained model")
    model: str | None = Field(None, description="folder or Hub id of the model to fine-tune")
    config_only: str | None = Field(None, description="model or config.json to train from scratch")
    revision: str | None = Field(None, description="branch, tag or commit of the model on the Hub")
    tokenizer: str | None = Field(None, description="folder or Hub id; default: the model's")
    text_column: str = Field("text", description="column that holds the documents")
    behaviour: list[str] = Field(["toxic"], description="behaviours that a bare --penalty number is for")
    penalty: list[str] = Field([], description="BEHAVIOUR=LAMBDA, or LAMBDA for all; 0 filters; none: plain training")
    penalty_form: PenaltyForm = Field(PenaltyForm.ASCENT, description="ascent (Eq. 9) or unlikelihood (bounded)")
    preset: str | None = Field(None, description=f"named settings: {', '.join(PRESETS)}")
    context: int | None = Field(None, ge=2, description="tokens a row; default: the model's, capped at 2,048")
    steps: int | None = Field(None, ge=1, description="optimizer steps; default in fine-tuning: 2,000")
    epochs: float | None = Field(None, gt=0, description="passes over the data; default from scratch: 4")
    batch_tokens: int = Field(256 * 2048, ge=2, description="tokens a step, over all processes")
    micro_batch: int | None = Field(None, ge=1, description="rows a forward pass and process; default: at most 16")
    learning_rate: float | None = Field(None, gt=0, description="default: 6e-4 from scratch, 6e-5 in fine-tuning")
    schedule: Literal["cosine", "linear", "constant"] = Field("cosine", description="after the warmup")
    warmup: float = Field(0.01, ge=0, lt=1, description="share of the steps in which the learning rate rises")
    weight_decay: float = Field(4e-4, ge=0)
    beta1: float = Field(0.9, ge=0, lt=1)
    beta2: float = Field(0.95, ge=0, lt=1)
    clip: float = Field(1.0, ge=0, description="largest norm of the gradient; 0: no clipping")
    precision: Literal["auto", "float32", "bfloat16"] = Field("auto", description="auto: bfloat16 on a GPU")
    device: Literal["auto", "cpu"] = Field("auto", description="auto: GPUs where there are any")
    gradient_checkpointing: bool = Field(False, description="save memory by computing activations twice")
    liger: bool = Field(True, description="Liger kernels on a GPU, where they are installed")
    eval_file: str | None = Field(None, description="held-out text: a shard or a folder of shards")
    eval_every: int | None = Field(None, ge=1, description="steps between held-out evaluations; default: at the end")
    save_every: int = Field(500, ge=1, description="steps between checkpoints")
    keep: int = Field(2, ge=1, description="checkpoints kept")
    log_every: int = Field(10, ge=1, description="steps between lines of the log")
    logger: list[str] = Field([], description="loggers of transformers: tensorboard, wandb, ...")
    watch: bool = Field(True, description="sample text now and then and warn when it collapses into repetition")
    seed: int = Field(0, ge=0)

    @field_validator("preset")
    @classmethod
    def _is_known(cls, value: str | None) -> str | None:
        if value is not None and value not in PRESETS:
            raise ValueError(f"must be one of {', '.join(PRESETS)}")
        return value

    @field_validator("penalty")
    @classmethod
    def _are_penalties(cls, values: list[str]) -> list[str]:
        for value in values:
            parse_penalty(value)
        return values

    @model_validator(mode="after")
    def _is_one_task(self) -> TrainConfig:
        if (self.model is None) == (self.config_only is None):
            raise ValueError("give either --model (fine-tuning) or --config-only (from scratch)")
        if self.steps is not None and self.epochs is not None:
            raise ValueError("give either --steps or --epochs")
        return self

    @property
    def penalties(self) -> dict[str, float]:
        """Behaviour to lambda, in the order given; empty for plain training."""
        return parse_penalties(self.penalty, self.behaviour)

    @property
    def rate(self) -> float:
        """The peak learning rate."""
        return self.learning_rate or (FINE_TUNING_RATE if self.model else FROM_SCRATCH_RATE)

    def steps_over(self, rows: int, rows_a_step: int) -> int:
        """Optimizer steps on a data set of `rows` rows."""
        if self.steps is not None:
            return self.steps
        if self.epochs is None and self.model is not None:
            return FINE_TUNING_STEPS
        return max(1, math.ceil((self.epochs or FROM_SCRATCH_EPOCHS) * math.ceil(rows / rows_a_step)))
