"""From annotated shards and a model to a trained checkpoint: what `ifcurate train` does."""

from __future__ import annotations

import json
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from accelerate import PartialState
from transformers import (
    PreTrainedModel,
    PrinterCallback,
    set_seed,
)

from ifcurate.config import build, read_provenance, save
from ifcurate.errors import InputError
from ifcurate.files import clear, is_free, remove_parts, write_text
from ifcurate.model.checkpoints import context_length, start_token
from ifcurate.progress import Unseen, log, track
from ifcurate.provenance import versions
from ifcurate.training.arguments import refuse_data_parallel, training_arguments
from ifcurate.training.callbacks import DivergenceWatch, KnownPadding, RepetitionWatch, TrainingLog
from ifcurate.training.checkpoints import CheckpointSums, last_checkpoint, save_trained, train_on, verify_checkpoint
from ifcurate.training.config import RecordSettings, TrainConfig
from ifcurate.training.data import TrainingData
from ifcurate.training.forms import ASCENT, Penalty
from ifcurate.training.learned import Learned, load_learned
from ifcurate.training.marked import TREATMENTS
from ifcurate.training.packing import PaddingCollator
from ifcurate.training.reference import describe, load_reference, stored_losses_lack
from ifcurate.training.spared import spared_tokens
from ifcurate.training.trainer import PenalizedTrainer

TRAINING_FILE = "training.yaml"
METRICS_FILE = "metrics.json"
FREE_TO_CHANGE = frozenset({"out", "overwrite", *RecordSettings.model_fields} - {"eval_file", "eval_steps"})
"""Settings that may differ when a training is resumed: they leave no trace in the weights."""


@dataclass(frozen=True)
class TrainingSummary:
    """What a training did.

    Attributes:
        steps: optimizer steps.
        labels: tokens with a loss in one pass over the data, marked or not.
        marked_shares: behaviour to its share of marked tokens, in this model's tokenization.
        loss_unmarked: mean loss of unmarked tokens in the last log.
        loss_marked: the same of marked tokens; None where there was none.
        held_out_loss: mean loss per token of the evaluation file at the end, None without one.
        held_out_perplexity: its exponential.
        repeated_share: share of repeated 4-grams in the text sampled last, None where none was.
        seconds: of the training loop.
        tokens_per_second: in it, over all processes; steps before it was resumed do not count.
        data_wait_share: share of it in which the trainer waited for data.
    """

    steps: int
    labels: int
    marked_shares: dict[str, float]
    loss_unmarked: float
    loss_marked: float | None
    held_out_loss: float | None
    held_out_perplexity: float | None
    repeated_share: float | None
    seconds: float
    tokens_per_second: float
    data_wait_share: float


def train(config: TrainConfig) -> TrainingSummary:
    """Train as `config` says; the checkpoint, `training.yaml` and `metrics.json` are in `config.out` afterwards.

    Under torchrun or accelerate every process calls this; `config.out` is then a folder that all of them see. A
    training that was stopped goes on from its last checkpoint, one that was finished is not done again.

    Raises:
        InputError: something given cannot be used; see `AnnotatedCorpus`, `load_checkpoint`.
    """
    state = PartialState(cpu=config.device == "cpu")
    first = state.is_main_process
    out = Path(config.out)
    if config.overwrite and first:
        clear(out, TRAINING_FILE)
    state.wait_for_everyone()
    set_seed(config.seed)
    checkpoint = _checkpoint_of(out)
    learned = load_learned(config, checkpoint)
    model = learned.model
    if config.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    penalty = _penalty(config, learned)
    compares = penalty.needs_reference and bool(config.penalties)
    lack = stored_losses_lack(config, learned.tokenizer) if compares else None
    data = TrainingData(config, learned, context_length(model, config.context), compares and lack is None)
    with state.main_process_first():
        if first:
            _claim(config, data)
        if (out / METRICS_FILE).is_file():
            log.info(f"{out}: is trained already; --overwrite trains anew")
            if first:
                data.remove()  # where a kill has left them
            return _read_summary(out / METRICS_FILE)
        if first:
            if compares:
                log.info(describe(penalty, config, lack))
            data.pack()
    reference = load_reference(config, model, lack) if lack is not None else None
    trainer = _trainer(config, data, state, penalty, reference)
    repetition = RepetitionWatch(start_token(learned.tokenizer))
    if config.watch:
        trainer.add_callback(repetition)
    if first:
        log.info(_plan(config, trainer))
    steps_done, seconds = _take_steps(trainer, checkpoint, first)
    summary = _summary(trainer, data, repetition, steps_done, seconds)
    save_trained(trainer)
    if first:
        write_text(Path(config.out) / METRICS_FILE, json.dumps(asdict(summary), indent=2) + "\n")
        data.remove()
    state.wait_for_everyone()
    return summary


def _take_steps(trainer: PenalizedTrainer, checkpoint: Path | None, first: bool) -> tuple[int, float]:
    """Train from `checkpoint` or the beginning to the end; the steps that this took, and the seconds."""
    started = time.perf_counter()
    with track("train", trainer.args.max_steps, "steps") if first else nullcontext(Unseen()) as tracker:
        training_log = TrainingLog(tracker)
        trainer.add_callback(training_log)
        train_on(trainer, checkpoint)
    return training_log.steps_done(trainer.state), time.perf_counter() - started


def _checkpoint_of(out: Path) -> Path | None:
    """The last checkpoint of the training in `out`, if any.

    Raises:
        InputError: there is more to train, and it is damaged.
    """
    checkpoint = last_checkpoint(out) if (out / TRAINING_FILE).is_file() else None
    if checkpoint is not None and not (out / METRICS_FILE).is_file():
        verify_checkpoint(checkpoint)
    return checkpoint


def _read_summary(file: Path) -> TrainingSummary:
    try:
        return TrainingSummary(**json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{file}: is damaged or of another version; delete it to end the training once more from its last "
            "checkpoint, or give --overwrite."
        ) from error


def is_first_process() -> bool:
    """Whether this is the one process that prints."""
    return bool(PartialState().is_main_process)


def _claim(config: TrainConfig, data: TrainingData) -> None:
    """Make the output folder this training's own, or refuse it."""
    out, file = Path(config.out), Path(config.out) / TRAINING_FILE
    if file.is_file():
        if last_checkpoint(out) is not None or (out / METRICS_FILE).is_file():
            _refuse_other_training(config, data, file)
    elif not is_free(out):
        raise InputError(f"option --out: {out} is in use by something else; give a new folder.")
    remove_parts(out)
    save(config, file, {**versions(), "corpus": data.fingerprint()})


def _refuse_other_training(config: TrainConfig, data: TrainingData, file: Path) -> None:
    stored = build(TrainConfig, {"out": config.out}, file)
    for name, value in config.model_dump().items():
        if name not in FREE_TO_CHANGE and value != getattr(stored, name):
            raise InputError(
                f"option --{name.replace('_', '-')}: {file.parent} was trained with {getattr(stored, name)!r}, not "
                f"{value!r}; give what {file.name} says to continue, another --out, or --overwrite."
            )
    if read_provenance(file, "corpus")["corpus"] != data.fingerprint():
        raise InputError(f"option --data: {config.data} is not what {file.parent} was trained on; give another --out.")


def _penalty(config: TrainConfig, learned: Learned) -> Penalty:
    return Penalty(
        config.penalty_form if config.penalties else ASCENT,
        config.penalty_clamp,
        config.penalty_beta,
        spared_tokens(config.spare, learned.tokenizer, learned.model),
        config.penalty_start,
        config.penalty_end,
    )


def _trainer(
    config: TrainConfig,
    data: TrainingData,
    state: PartialState,
    penalty: Penalty,
    reference: PreTrainedModel | None,
) -> PenalizedTrainer:
    rows = data.rows()
    arguments = training_arguments(config, data.length, len(rows), state)
    refuse_data_parallel(arguments.n_gpu)
    trainer = PenalizedTrainer(
        model=data.learned.model,
        args=arguments,
        train_dataset=rows,
        eval_dataset=data.held_out_rows(),
        callbacks=[CheckpointSums(), KnownPadding(data.learned.model)],
        data_collator=PaddingCollator(start_token(data.learned.tokenizer)),
        processing_class=data.learned.saved_tokenizer,
        penalty_form=penalty,
        reference_model=reference,
    )
    trainer.add_callback(DivergenceWatch())
    trainer.remove_callback(PrinterCallback)
    return trainer


def _plan(config: TrainConfig, trainer: PenalizedTrainer) -> str:
    arguments = trainer.args
    parameters = sum(parameter.numel() for parameter in trainer.model.parameters())
    penalties = ", ".join(f"{name} {value:g}" for name, value in config.penalties.items())
    weights = " in the mean, by influence" if config.penalty_weights == "influence" else ""
    penalised = f"{config.penalty_form} with lambda: {penalties}{weights}" if penalties else "no penalty"
    if config.marked in TREATMENTS:
        penalised = TREATMENTS[config.marked].description
    liger = "on" if arguments.use_liger_kernel else "off"
    micro_batches = f"{arguments.per_device_train_batch_size} rows x {arguments.gradient_accumulation_steps}"
    return (
        f"training {parameters:,} parameters for {arguments.max_steps:,} steps of {config.tokens_per_step:,} tokens "
        f"({micro_batches} micro-batches x {arguments.world_size} processes); {trainer.train_dataset.labels:,} labels, "
        f"{penalised}, Liger kernels {liger}"
    )


def _summary(
    trainer: PenalizedTrainer, data: TrainingData, repetition: RepetitionWatch, steps_done: int, seconds: float
) -> TrainingSummary:
    logged: dict[str, Any] = {}
    for entry in trainer.state.log_history:
        logged.update(entry)
    held_out = trainer.evaluate() if trainer.eval_dataset is not None else {}
    steps = trainer.state.global_step
    return TrainingSummary(
        steps=steps,
        labels=trainer.train_dataset.labels,
        marked_shares=data.marked_shares(),
        loss_unmarked=logged["loss_unmarked"],
        loss_marked=logged.get("loss_marked"),
        held_out_loss=held_out.get("eval_loss"),
        held_out_perplexity=held_out.get("eval_perplexity"),
        repeated_share=list(repetition.shares.values())[-1] if repetition.shares else None,
        seconds=seconds,
        tokens_per_second=steps_done * data.config.tokens_per_step / seconds,
        data_wait_share=trainer.data_wait_seconds / seconds,
    )
