"""The settings of a training as transformers' Trainer wants them."""

from __future__ import annotations

from importlib.util import find_spec

from accelerate import PartialState
from transformers import TrainingArguments

from ifcurate.errors import InputError
from ifcurate.training.config import TrainConfig

LARGEST_DEFAULT_MICRO_BATCH = 16
HOURS_FOR_PACKING = 12
SCHEDULERS = {"cosine": "cosine", "linear": "linear", "constant": "constant_with_warmup"}


def refuse_data_parallel(gpus: int) -> None:
    """Refuse what transformers makes of one process that sees several GPUs: a step of `gpus` times the tokens.

    Raises:
        InputError: `gpus`, the GPUs that this process would train on, is more than 1.
    """
    if gpus > 1:
        raise InputError(
            f"this machine has {gpus} GPUs, and one process uses one; run `torchrun --nproc-per-node {gpus} "
            "--no-python ifcurate train ...`, or choose one with CUDA_VISIBLE_DEVICES=0."
        )


def training_arguments(config: TrainConfig, length: int, rows: int, state: PartialState) -> TrainingArguments:
    """What transformers' Trainer is told, for `rows` rows of `length` tokens.

    Raises:
        InputError: see `batch_shape`.
    """
    on_gpu = state.device.type == "cuda"
    rows_a_step, micro_batch = batch_shape(config, length, state.num_processes)
    steps = config.steps_over(rows, rows_a_step)
    evaluates = config.eval_file is not None and config.eval_steps is not None
    return TrainingArguments(
        output_dir=config.out,
        max_steps=steps,
        per_device_train_batch_size=micro_batch,
        per_device_eval_batch_size=micro_batch,
        gradient_accumulation_steps=rows_a_step // (micro_batch * state.num_processes),
        learning_rate=config.rate,
        lr_scheduler_type=SCHEDULERS[config.lr_scheduler_type],
        warmup_steps=round(config.warmup_ratio * steps),
        weight_decay=config.weight_decay,
        adam_beta1=config.adam_beta1,
        adam_beta2=config.adam_beta2,
        max_grad_norm=config.max_grad_norm,
        bf16=config.dtype == "bfloat16" or (config.dtype == "auto" and on_gpu),
        use_cpu=state.device.type == "cpu",
        use_liger_kernel=config.liger and on_gpu and find_spec("liger_kernel") is not None,
        # The loss is our own; Liger's would never be called, but would replace the model's forward.
        liger_kernel_config={"cross_entropy": False, "fused_linear_cross_entropy": False},
        eval_strategy="steps" if evaluates else "no",
        eval_steps=config.eval_steps,
        save_steps=config.save_steps,
        save_total_limit=config.save_total_limit,
        logging_steps=config.logging_steps,
        logging_first_step=True,
        logging_nan_inf_filter=False,
        report_to=config.report_to or "none",
        remove_unused_columns=False,
        dataloader_pin_memory=on_gpu,
        disable_tqdm=True,
        log_level="error",
        ddp_find_unused_parameters=False,
        ddp_timeout=HOURS_FOR_PACKING * 3600,
        seed=config.seed,
        data_seed=config.seed,
    )


def batch_shape(config: TrainConfig, length: int, processes: int) -> tuple[int, int]:
    """Rows a step over all processes, and rows a forward pass.

    Raises:
        InputError: a step is not a whole number of rows, processes or forward passes.
    """
    rows, odd_tokens = divmod(config.tokens_per_step, length)
    if odd_tokens or rows % processes:
        raise InputError(
            f"option --tokens-per-step: {config.tokens_per_step:,} is no multiple of {length:,} tokens a row times "
            f"{processes} processes; give a multiple of {length * processes:,}."
        )
    own_rows = rows // processes
    largest = config.per_device_train_batch_size or LARGEST_DEFAULT_MICRO_BATCH
    micro_batch = next(size for size in range(min(largest, own_rows), 0, -1) if own_rows % size == 0)
    asked = config.per_device_train_batch_size
    if asked is not None and micro_batch != asked:
        raise InputError(
            f"option --per-device-train-batch-size: {asked} does not divide the {own_rows} rows that each process "
            f"takes a step; give a divisor, such as {micro_batch}."
        )
    return rows, micro_batch
