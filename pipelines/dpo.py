"""Recipe of `ifcurate dpo`: a model trained on pairs of its own completions."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerFast, set_seed

from ifcurate.artifacts import read_artifact
from ifcurate.errors import InputError
from ifcurate.evaluation.fine_tuning_arguments import fine_tuning_arguments
from ifcurate.evaluation.loss_log import LossLog
from ifcurate.evaluation.pair_training import Row, encode_pairs, pair_trainer
from ifcurate.evaluation.preferences import read_pairs
from ifcurate.files import clear, sha256_of, write_text
from ifcurate.launch import processes
from ifcurate.model.checkpoints import check_vocabulary, context_length, load_causal_lm, load_tokenizer
from ifcurate.model.control_tokens import ControlTokens
from ifcurate.model.hashes import hash_model
from ifcurate.model.settings import TrustSettings
from ifcurate.pipelines.dpo_config import DpoConfig
from ifcurate.pipelines.finished_folder import made_from, record_made
from ifcurate.pipelines.preferences import PAIRS_FILE
from ifcurate.pipelines.train import METRICS_FILE
from ifcurate.progress import log, track
from ifcurate.training.checkpoints import CheckpointSums, last_checkpoint, save_trained, train_on, verify_checkpoint

SETTINGS_FILE = "dpo.yaml"
FREE_TO_CHANGE = frozenset({"overwrite", "save_steps", *TrustSettings.model_fields})
"""Settings that leave no trace in the weights."""


@dataclass(frozen=True)
class DpoSummary:
    """What was learnt.

    Attributes:
        pairs: trained on.
        cut: those of them whose prompt lost its beginning.
        steps: optimizer steps.
        loss: mean of the last lines of the log, in nats; ln 2 = 0.693 is where it begins.
        accuracy: share of these pairs whose chosen completion has gained more than the rejected one.
        margin: by how much, beta x nats.
        seconds: of the process that ended it.
    """

    pairs: int
    cut: int
    steps: int
    loss: float
    accuracy: float
    margin: float
    seconds: float


def train_on_pairs(config: DpoConfig) -> DpoSummary:
    """Train, unless that is done; `config.out` is then a folder that `from_pretrained` loads.

    Raises:
        InputError: the pairs or the model cannot be used, TRL is not installed, or the folder is in use.
    """
    if processes() > 1:
        raise InputError("`ifcurate dpo` trains in one process; start it without torchrun or accelerate.")
    out, file = Path(config.out), _pairs_file(config)
    if config.overwrite:
        clear(out, SETTINGS_FILE)
    pairs = read_pairs(file)
    set_seed(config.seed)
    reference = load_causal_lm(config.model, config.revision, trust=config.trust)
    tokenizer = load_tokenizer(config.model, config.revision, config.trust)
    check_vocabulary(tokenizer, reference)
    if ControlTokens.said_by(reference.generation_config).prefix:
        raise InputError(f"{config.model}: is read behind a control token, which pairs know nothing of; give another.")
    rows, cut = encode_pairs(pairs, tokenizer, context_length(reference, None))
    origin = {"pairs": sha256_of(file), "model": hash_model(reference)}
    if made_from(out, SETTINGS_FILE, config, origin, FREE_TO_CHANGE) is None:
        record_made(out, SETTINGS_FILE, config, origin)
    if (out / METRICS_FILE).is_file():
        log.info(f"{out}: is trained already; --overwrite trains anew")
        return read_artifact(DpoSummary, (out / METRICS_FILE).read_bytes(), out / METRICS_FILE, "give --overwrite")
    began = time.perf_counter()
    summary = _train(config, reference, tokenizer, rows, cut, began)
    write_text(out / METRICS_FILE, json.dumps(asdict(summary), indent=2) + "\n")
    return summary


def _train(
    config: DpoConfig,
    reference: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    rows: list[Row],
    cut: int,
    began: float,
) -> DpoSummary:
    """Do the steps that are left, and store the model."""
    checkpoint = last_checkpoint(Path(config.out))
    if checkpoint is not None:
        verify_checkpoint(checkpoint)
    model = load_causal_lm(config.model, config.revision, trust=config.trust)
    model.requires_grad_(True)
    arguments = fine_tuning_arguments(config, len(rows))
    trainer = pair_trainer(model, reference, tokenizer, rows, config.beta, arguments)
    with track("train", trainer.args.max_steps, "steps") as tracker:
        trainer.add_callback(LossLog(tracker))
        trainer.add_callback(CheckpointSums())
        train_on(trainer, checkpoint)
    save_trained(trainer)
    last = next(entry for entry in reversed(trainer.state.log_history) if "rewards/margins" in entry)
    return DpoSummary(
        pairs=len(rows),
        cut=cut,
        steps=int(trainer.state.global_step),
        loss=last["loss"],
        accuracy=last["rewards/accuracies"],
        margin=last["rewards/margins"],
        seconds=time.perf_counter() - began,
    )


def _pairs_file(config: DpoConfig) -> Path:
    given = Path(config.pairs)
    return given / PAIRS_FILE if given.is_dir() else given
