"""What a penalty compares a marked token with: its loss as it was annotated, or that under a frozen model."""

from __future__ import annotations

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from ifcurate.annotation.reader import AnnotatedCorpus
from ifcurate.errors import InputError
from ifcurate.model.checkpoints import embedding_rows, load_checkpoint
from ifcurate.model.stored import AS_IS
from ifcurate.training.config import TrainConfig
from ifcurate.training.forms import Penalty

STORED = "stored"


def stored_losses_lack(config: TrainConfig, tokenizer: PreTrainedTokenizerFast) -> str | None:
    """Why the losses that the corpus was annotated with are not compared with, in one sentence; None where they are.

    Raises:
        InputError: they are asked for, and cannot be had.
    """
    if config.penalty_reference not in (None, STORED):
        return f"option --penalty-reference names {config.penalty_reference}."
    lack = AnnotatedCorpus(config.data, list(config.penalties), tokenizer, config.text_column).lacking_losses()
    if lack is not None and config.penalty_reference == STORED:
        raise InputError(lack)
    return lack


def load_reference(config: TrainConfig, model: PreTrainedModel, lack: str) -> PreTrainedModel:
    """The model that the penalty compares with: named, or a copy of the one to fine-tune as it is published.

    Raises:
        InputError: there is none, which `lack` says of the stored losses too, or it has another vocabulary.
    """
    source = config.penalty_reference or config.model
    if source is None:
        raise InputError(
            f"option --penalty-reference: is required for --penalty-form {config.penalty_form} from scratch; "
            f"give a model with the same tokenizer. {lack}"
        )
    stored = config.stored if source == config.model else AS_IS
    reference = load_checkpoint(source, config.revision, trust=config.trust, stored=stored)
    if embedding_rows(reference) != embedding_rows(model):
        raise InputError(
            f"option --penalty-reference: {source} has another vocabulary; give one of the same tokenizer."
        )
    return reference.requires_grad_(False)


def describe(penalty: Penalty, config: TrainConfig, lack: str | None) -> str:
    """One line that says what is compared with, and why."""
    if lack is None:
        spared = ", spared tokens left in their softmax" if penalty.spared else ""
        return f"{penalty.form} compares with the losses that {config.data} was annotated with{spared}"
    return (
        f"{penalty.form} compares with {config.penalty_reference or config.model}, frozen, on the packed rows: {lack}"
    )
