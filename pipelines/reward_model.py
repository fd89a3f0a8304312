"""Recipe of `ifcurate reward-model`: from labelled texts and a checkpoint to a classifier, measured on others."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerFast, TrainingArguments, set_seed

from ifcurate.artifacts import read_artifact
from ifcurate.config import build, read_provenance, save
from ifcurate.errors import InputError
from ifcurate.evaluation.auc import auc_interval
from ifcurate.evaluation.bootstrap import Interval, mean_interval
from ifcurate.evaluation.fine_tuning_arguments import fine_tuning_arguments
from ifcurate.evaluation.labelled_texts import hold_out_texts, read_labelled
from ifcurate.evaluation.loss_log import LossLog
from ifcurate.evaluation.reward_training import Examples, fit_tokenizer, load_body, reward_trainer
from ifcurate.evaluation.sequence_classifier import SequenceClassifier, output_activation
from ifcurate.files import clear, is_free, remove_parts, write_text
from ifcurate.launch import processes
from ifcurate.model.checkpoints import load_tokenizer
from ifcurate.model.devices import resolve_device
from ifcurate.model.hashes import hash_model
from ifcurate.model.settings import TrustSettings
from ifcurate.pipelines.reward_model_config import RewardModelConfig
from ifcurate.pipelines.train import METRICS_FILE
from ifcurate.progress import log, track
from ifcurate.provenance import versions
from ifcurate.training.checkpoints import CheckpointSums, last_checkpoint, save_trained, train_on, verify_checkpoint

SETTINGS_FILE = "reward_model.yaml"
FREE_TO_CHANGE = frozenset({"out", "overwrite", "save_steps", *TrustSettings.model_fields})
"""Settings that leave no trace in the weights."""
JUDGED_TOGETHER = 2048
"""Held-out texts between two reports of progress."""
THRESHOLD = 0.5
"""Texts with at least this probability are called positive."""


@dataclass(frozen=True)
class RewardModelSummary:
    """What was trained, and how well it judges texts that it was not trained on; intervals are over these.

    Attributes:
        label: name of the output.
        trained: texts trained on.
        positive: those of them that are positive.
        trained_cut: those of them that are longer than the model reads.
        left_out: rows with neither of two labels that are named.
        held_out: texts held out.
        held_out_cut: those of them that are longer than the model reads.
        base_rate: share of positive ones among the texts held out.
        accuracy: share of them that is judged as labelled, positive from a probability of 0.5 on.
        auc: how often a positive one gets a higher probability than a negative one.
        steps: optimizer steps.
        seconds: of training, by the process that ended it, and of measuring.
    """

    label: str
    trained: int
    positive: int
    trained_cut: int
    left_out: int
    held_out: int
    held_out_cut: int
    base_rate: Interval
    accuracy: Interval
    auc: Interval
    steps: int
    seconds: float


def train_reward_model(config: RewardModelConfig) -> RewardModelSummary:
    """Fine-tune and measure, unless that is done; `config.out` is then a folder that `from_pretrained` loads.

    Raises:
        InputError: texts, labels or the model cannot be used, or the folder is in use.
    """
    if processes() > 1:
        raise InputError("`ifcurate reward-model` trains in one process; start it without torchrun or accelerate.")
    out = Path(config.out)
    if config.overwrite:
        clear(out, SETTINGS_FILE)
    labelled = read_labelled(
        config.source, config.split, config.text_column, config.label_column, config.positive, config.negative
    )
    trained, held_out = hold_out_texts(labelled, config.held_out, config.seed)
    set_seed(config.seed)
    model = load_body(config.model, config.label, config.revision, config.trust)
    tokenizer = load_tokenizer(config.model, config.revision, config.trust)
    fit_tokenizer(tokenizer, model, config.max_length)
    _claim(config, {"texts": labelled.hash(), "model": hash_model(model)})
    if (out / METRICS_FILE).is_file():
        log.info(f"{out}: is trained already; --overwrite trains anew")
        remedy = "delete it to measure once more, or give --overwrite"
        return read_artifact(RewardModelSummary, (out / METRICS_FILE).read_bytes(), out / METRICS_FILE, remedy)
    began = time.perf_counter()
    examples = Examples(trained, tokenizer)
    model, steps = _train(config, model, tokenizer, examples)
    judge = SequenceClassifier(model, tokenizer, output_activation(model), resolve_device(config.device))
    scores = _judge(judge, held_out.texts)
    summary = RewardModelSummary(
        label=config.label,
        trained=len(trained),
        positive=int(trained.positive.sum()),
        trained_cut=examples.cut,
        left_out=labelled.left_out,
        held_out=len(held_out),
        held_out_cut=judge.texts_cut,
        base_rate=mean_interval(held_out.positive.astype(np.float64), config.seed),
        accuracy=mean_interval(((scores >= THRESHOLD) == held_out.positive).astype(np.float64), config.seed),
        auc=auc_interval(scores, held_out.positive, config.seed),
        steps=steps,
        seconds=time.perf_counter() - began,
    )
    write_text(out / METRICS_FILE, json.dumps(asdict(summary), indent=2) + "\n")
    return summary


def _train(
    config: RewardModelConfig, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, examples: Examples
) -> tuple[PreTrainedModel, int]:
    """The trained model, which is in `config.out` too, and its steps; goes on from the last checkpoint.

    The Trainer reads a checkpoint's weights by other names than some models are stored with; `from_pretrained` knows
    both.
    """
    checkpoint = last_checkpoint(Path(config.out))
    if checkpoint is not None:
        verify_checkpoint(checkpoint)
        model = load_body(str(checkpoint), config.label, trust=config.trust)
    arguments = TrainingArguments(**fine_tuning_arguments(config, len(examples)))
    trainer = reward_trainer(model, tokenizer, examples, arguments)
    with track("train", arguments.max_steps, "steps") as tracker:
        trainer.add_callback(LossLog(tracker))
        trainer.add_callback(CheckpointSums())
        train_on(trainer, checkpoint)
    save_trained(trainer)
    return model, int(trainer.state.global_step)


def _judge(judge: SequenceClassifier, texts: Sequence[str]) -> NDArray[np.float32]:
    """The probability of each text."""
    scores = np.zeros(len(texts), np.float32)
    with track("held-out texts", len(texts), "texts") as tracker:
        for first in range(0, len(texts), JUDGED_TOGETHER):
            block = texts[first : first + JUDGED_TOGETHER]
            scores[first : first + len(block)] = judge.scores(block)[:, 0]
            tracker.update(first + len(block), first + len(block))
    return scores


def _claim(config: RewardModelConfig, made_from: dict[str, str]) -> None:
    """Make the output folder this training's own, or refuse it."""
    out, file = Path(config.out), Path(config.out) / SETTINGS_FILE
    if file.is_file():
        if last_checkpoint(out) is not None or (out / METRICS_FILE).is_file():
            _refuse_other(config, made_from, file)
    elif not is_free(out):
        raise InputError(f"option --out: {out} is in use by something else; give a new folder.")
    remove_parts(out)
    save(config, file, {**versions(), "made_from": made_from})


def _refuse_other(config: RewardModelConfig, made_from: dict[str, str], file: Path) -> None:
    stored = build(RewardModelConfig, {"out": config.out}, file)
    for name, value in config.model_dump().items():
        if name not in FREE_TO_CHANGE and value != getattr(stored, name):
            raise InputError(
                f"option --{name.replace('_', '-')}: {file.parent} was trained with {getattr(stored, name)!r}, not "
                f"{value!r}; give what {file.name} says to continue, another --out, or --overwrite."
            )
    for name, value in read_provenance(file, "made_from")["made_from"].items():
        if made_from.get(name) != value:
            raise InputError(f"{file.parent}: was trained from another {name}; give another --out, or --overwrite.")
