"""Settings of a fine-tuning as transformers' Trainer wants them."""

from __future__ import annotations

import math
from typing import Any, Protocol

import torch

from ifcurate.errors import InputError

LINES_OF_LOG = 20


class Settings(Protocol):
    """`FineTuningSettings` and `FineTuningMachineSettings`, with a folder and a seed."""

    num_train_epochs: float
    batch_size: int
    per_device_train_batch_size: int | None
    learning_rate: float
    warmup_ratio: float
    weight_decay: float
    save_steps: int
    device: Any
    dtype: Any
    out: Any
    seed: int


def fine_tuning_arguments(config: Settings, examples: int) -> dict[str, Any]:
    """What `TrainingArguments` are told of a training on `examples` examples, on one device.

    Raises:
        InputError: a step is not a whole number of forward passes, or there is more than one GPU.
    """
    micro_batch = config.per_device_train_batch_size or config.batch_size
    if config.batch_size % micro_batch:
        raise InputError(
            f"option --per-device-train-batch-size: {micro_batch} does not divide the {config.batch_size} examples of "
            "a step; give a divisor."
        )
    steps = max(1, math.ceil(config.num_train_epochs * math.ceil(examples / config.batch_size)))
    on_gpu = config.device == "auto" and torch.cuda.is_available()
    if on_gpu and torch.cuda.device_count() > 1:
        raise InputError(
            f"this machine has {torch.cuda.device_count()} GPUs, and this trains on one; choose it with "
            "CUDA_VISIBLE_DEVICES=0."
        )
    return {
        "output_dir": config.out,
        "max_steps": steps,
        "per_device_train_batch_size": micro_batch,
        "gradient_accumulation_steps": config.batch_size // micro_batch,
        "learning_rate": config.learning_rate,
        "lr_scheduler_type": "cosine",
        "warmup_steps": round(config.warmup_ratio * steps),
        "weight_decay": config.weight_decay,
        "bf16": config.dtype == "bfloat16" or (config.dtype == "auto" and on_gpu),
        "use_cpu": config.device == "cpu",
        "save_steps": config.save_steps,
        "save_total_limit": 1,
        "logging_steps": max(1, steps // LINES_OF_LOG),
        "logging_nan_inf_filter": False,
        "report_to": "none",
        "remove_unused_columns": False,
        "dataloader_pin_memory": on_gpu,
        "disable_tqdm": True,
        "log_level": "error",
        "seed": config.seed,
        "data_seed": config.seed,
    }
