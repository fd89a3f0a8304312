"""What a training is asked to do: every option of `ifcurate train`, with its default."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from ifcurate.config import ALIASES, Config, Restartable
from ifcurate.corpus.settings import TextSettings
from ifcurate.errors import InputError
from ifcurate.model.settings import RevisionSettings, StoredSettings
from ifcurate.registry import OneOf
from ifcurate.training.forms import ASCENT, PENALTY_FORMS, parse_clamp, parse_penalties, parse_penalty
from ifcurate.working import Folder

PRESETS: dict[str, dict[str, Any]] = {
    "recommended": {"penalty_form": "clamped", "penalty": ["2"], "spare": "end"},
    "paper": {"penalty_form": "ascent", "penalty": ["1"], "spare": "none"},
    "gentle": {"penalty_form": "clamped", "penalty": ["1"], "spare": "end"},
}
"""Named settings; whatever is given explicitly overrides them. `paper`: IF-Guide as published. `recommended`: twice as
hard a push that ends at uniform guessing and leaves the end of a text alone: the effect of ascent for less perplexity,
and it cannot run away. `gentle`: the push half as hard, nearly free. By `benchmarks/frontier.py`."""

FINE_TUNING_RATE = 6e-5
FROM_SCRATCH_RATE = 6e-4
FINE_TUNING_STEPS = 2000
FROM_SCRATCH_EPOCHS = 4.0


class LearnedSettings(StoredSettings, RevisionSettings):
    """What is trained."""

    panel = "Model"

    model: str | None = Field(None, description="folder or Hub id to fine-tune")
    config_name: str | None = Field(None, description="model or config.json to train from scratch")
    tokenizer: str | None = Field(None, description="folder or Hub id; default: the model's")
    context: int | None = Field(
        None,
        ge=2,
        description="tokens a row; default: the model's, capped at 2,048",
        json_schema_extra={ALIASES: ["--max-length"]},
    )


class PenaltySettings(Config):
    """What is done with marked tokens."""

    panel = "Penalty"

    behaviour: list[str] = Field(["toxic"], description="whose masks a bare --penalty number, or --marked, is for")
    marked: Literal["penalize", "remove", "tag"] = Field(
        "penalize",
        description="what happens to marked tokens; remove: one hidden token is read for a run of them; tag: control "
        "tokens before marked and unmarked ones, and the model is read behind the good one",
    )
    penalty: list[str] = Field(
        [], description="BEHAVIOUR=LAMBDA, LAMBDA, or BEHAVIOUR (lambda 1); 0 filters; default: plain training"
    )
    penalty_form: Annotated[str, OneOf(PENALTY_FORMS)] = Field(
        ASCENT, description="; ".join(f"{name}: {form.description}" for name, form in PENALTY_FORMS.items())
    )
    penalty_clamp: str = Field(
        "100%", description="where `clamped` stops: nats, a share of ln(vocabulary), or base+NATS above the reference"
    )
    penalty_beta: float = Field(0.1, gt=0, description="inverse temperature of `npo`")
    penalty_reference: str | None = Field(
        None,
        description="what `npo` and base+NATS compare with: stored (the losses that the corpus was annotated with), or "
        "a model; default: stored where they are of this tokenizer, else the model to fine-tune",
    )
    penalty_weights: Literal["equal", "influence"] = Field(
        "equal",
        description="influence: each marked token's lambda is proportional to its influence; mean lambda as given",
    )
    spare: str = Field(
        "none",
        description="tokens that the probability pushed off marked ones may not go to: end (of text or turn), none, or "
        "tokens by name, separated by commas",
    )
    penalty_start: float = Field(
        0.0, ge=0, lt=1, description="share of the steps before which marked tokens are only left out of the loss"
    )
    penalty_end: float = Field(
        1.0, gt=0, le=1, description="share of the steps after which marked tokens are only left out of the loss"
    )


class OptimizationSettings(Config):
    """Steps, batches and the optimizer, named as transformers names them."""

    panel = "Optimization"

    max_steps: int | None = Field(None, ge=1, description="optimizer steps; default in fine-tuning: 2,000")
    num_train_epochs: float | None = Field(None, gt=0, description="passes over the data; default from scratch: 4")
    tokens_per_step: int = Field(256 * 2048, ge=2, description="tokens an optimizer step, over all processes")
    per_device_train_batch_size: int | None = Field(
        None, ge=1, description="rows a forward pass and process; default: at most 16"
    )
    learning_rate: float | None = Field(None, gt=0, description="peak; default: 6e-4 from scratch, 6e-5 in fine-tuning")
    lr_scheduler_type: Literal["cosine", "linear", "constant"] = Field("cosine", description="after the warmup")
    warmup_ratio: float = Field(0.01, ge=0, lt=1, description="share of the steps in which the learning rate rises")
    weight_decay: float = Field(4e-4, ge=0, description="of AdamW")
    adam_beta1: float = Field(0.9, ge=0, lt=1, description="of AdamW")
    adam_beta2: float = Field(0.95, ge=0, lt=1, description="of AdamW")
    max_grad_norm: float = Field(1.0, ge=0, description="largest norm of the gradient; 0: no clipping")


class RecordSettings(Config):
    """What a training leaves beside its weights."""

    panel = "Evaluation, checkpoints, logs"

    eval_file: str | None = Field(None, description="held-out text: a shard or a folder of shards")
    eval_steps: int | None = Field(None, ge=1, description="steps between held-out evaluations; default: at the end")
    save_steps: int = Field(500, ge=1, description="steps between checkpoints")
    save_total_limit: int = Field(2, ge=1, description="checkpoints kept")
    logging_steps: int = Field(10, ge=1, description="steps between lines of the log")
    report_to: list[str] = Field([], description="loggers of transformers: tensorboard, wandb, ...")
    watch: bool = Field(True, description="sample text now and then and warn when it collapses into repetition")


class TrainMachineSettings(Config):
    """What computes, and how."""

    panel = "Machine"

    dtype: Literal["auto", "float32", "bfloat16"] = Field("auto", description="auto: bfloat16 on a GPU")
    device: Literal["auto", "cpu"] = Field("auto", description="auto: GPUs where there are any")
    gradient_checkpointing: bool = Field(False, description="save memory by computing activations twice")
    liger: bool = Field(True, description="Liger kernels on a GPU, where they are installed")
    seed: int = Field(0, ge=0, description="of every random choice")


class TrainConfig(
    Restartable,
    TrainMachineSettings,
    RecordSettings,
    OptimizationSettings,
    PenaltySettings,
    LearnedSettings,
    TextSettings,
):
    """Settings of a training; names are those of the options and of `training.yaml`. Defaults are the paper's."""

    data: str = Field(description="run folder, or folder, glob or Hub data set with the annotated columns")
    out: Folder = Field(description="folder for the trained model; the same command continues a stopped training")
    preset: Annotated[str, OneOf(PRESETS)] | None = Field(None, description="named settings, overridden by others")

    @field_validator("penalty")
    @classmethod
    def _are_penalties(cls, values: list[str]) -> list[str]:
        for value in values:
            parse_penalty(value)
        return values

    @field_validator("penalty_clamp")
    @classmethod
    def _is_a_clamp(cls, value: str) -> str:
        try:
            parse_clamp(value)
        except InputError as error:
            raise ValueError(str(error)) from error
        return value

    @model_validator(mode="after")
    def _is_one_task(self) -> TrainConfig:
        if (self.model is None) == (self.config_name is None):
            raise ValueError("give either --model (fine-tuning) or --config-name (from scratch)")
        if self.max_steps is not None and self.num_train_epochs is not None:
            raise ValueError("give either --max-steps or --num-train-epochs")
        if self.marked != "penalize":
            self._refuse_penalties()
        if self.penalty_weights == "influence" and not self.penalties:
            raise ValueError("--penalty-weights influence is for marked tokens that are penalised; add --penalty")
        if not self.penalty_start < self.penalty_end:
            raise ValueError("give a --penalty-start below --penalty-end")
        return self

    @property
    def penalties(self) -> dict[str, float]:
        """Behaviour to lambda, in the order given; empty for plain training."""
        return parse_penalties(self.penalty, self.behaviour)

    @property
    def marking_behaviours(self) -> list[str]:
        """Behaviours whose masks are read."""
        return list(self.penalties) if self.marked == "penalize" else self.behaviour

    def _refuse_penalties(self) -> None:
        for name, field in PenaltySettings.model_fields.items():
            if name not in ("behaviour", "marked") and getattr(self, name) != field.default:
                raise ValueError(
                    f"--marked {self.marked} has no penalty; leave out --{name.replace('_', '-')}, and a --preset that "
                    "sets it"
                )

    @property
    def rate(self) -> float:
        """The peak learning rate."""
        return self.learning_rate or (FINE_TUNING_RATE if self.model else FROM_SCRATCH_RATE)

    def steps_over(self, rows: int, rows_a_step: int) -> int:
        """Optimizer steps on a data set of `rows` rows."""
        if self.max_steps is not None:
            return self.max_steps
        if self.num_train_epochs is None and self.model is not None:
            return FINE_TUNING_STEPS
        return max(1, math.ceil((self.num_train_epochs or FROM_SCRATCH_EPOCHS) * math.ceil(rows / rows_a_step)))
