"""Fine-tuning a sequence classifier with one output: the probability that a text is positive."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset
from transformers import (
    AutoModelForSequenceClassification,
    DataCollatorWithPadding,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    PrinterCallback,
    Trainer,
    TrainingArguments,
)

from ifcurate.corpus.tables import is_local
from ifcurate.errors import InputError, first_line
from ifcurate.evaluation.labelled_texts import LabelledTexts
from ifcurate.evaluation.sequence_classifier import LONGEST, UNSET_LENGTH
from ifcurate.model.checkpoints import positions_of
from ifcurate.model.trust import NOBODY, Trust
from ifcurate.storage.fetched import at_hand

POOLER = "pooler"
"""The part of an encoder that only classifiers use: checkpoints of masked language models do not have it."""


def load_body(name_or_path: str, label: str, revision: str | None = None, trust: Trust = NOBODY) -> PreTrainedModel:
    """The model at `name_or_path`, causal or an encoder, with a head of one output, drawn anew if it has none.

    Args:
        name_or_path: a folder written by `save_pretrained`, or a Hub id.
        label: what the output is called.
        revision: of a Hub id.
        trust: whether pickled weights and the model's own code are allowed.

    Raises:
        InputError: there is no such model, it has another head, or other weights than the head's are missing.
    """
    name_or_path = at_hand(name_or_path)
    local = is_local(name_or_path)
    if local and not Path(name_or_path).is_dir():
        raise InputError(f"{name_or_path}: there is no such folder; give one written by save_pretrained or a Hub id.")
    try:
        model, loading = AutoModelForSequenceClassification.from_pretrained(
            name_or_path,
            revision=revision,
            local_files_only=local,
            output_loading_info=True,
            dtype=torch.float32,
            num_labels=1,
            id2label={0: label},
            label2id={label: 0},
            problem_type="multi_label_classification",
            **trust.of_weights(),
        )
    except Exception as error:  # transformers, safetensors and the Hub client raise many unrelated types here
        raise InputError(
            f"{name_or_path}: cannot be made a classifier of one output ({first_line(error)}); "
            f"{trust.hint(name_or_path, error) or 'give --model a causal language model or an encoder'}."
        ) from error
    body = f"{model.base_model_prefix}."
    missing = sorted(key for key in loading["missing_keys"] if key.startswith(body) and POOLER not in key)
    if missing:
        raise InputError(
            f"{name_or_path}: lacks {len(missing)} weights of the model ({missing[0]} first); give a whole one."
        )
    return model


def fit_tokenizer(tokenizer: PreTrainedTokenizerFast, model: PreTrainedModel, asked: int | None) -> int:
    """Give tokenizer and model a padding token and the tokenizer the length it cuts at; both are stored with them.

    Returns:
        the most tokens of a text that are read: `asked`, or what fits, at most `LONGEST`.

    Raises:
        InputError: `asked` is more than fits, or there is no token to pad with.
    """
    own = tokenizer.model_max_length if tokenizer.model_max_length < UNSET_LENGTH else None
    fits = min((each for each in (own, positions_of(model.config)) if each), default=None)
    if asked is not None and fits is not None and asked > fits:
        raise InputError(
            f"option --max-length: {asked} tokens are more than the {fits} that the model reads; lower it."
        )
    length = asked or min(fits or LONGEST, LONGEST)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.bos_token
    if tokenizer.pad_token is None:
        raise InputError(f"{tokenizer.name_or_path}: has no padding, EOS or BOS token to fill batches with; set one.")
    tokenizer.padding_side = tokenizer.truncation_side = "right"
    tokenizer.model_max_length = length
    model.config.pad_token_id = tokenizer.pad_token_id
    return int(length)


class Examples(Dataset[dict[str, Any]]):
    """Token ids of texts and their labels, float [1]; `cut` counts the texts that were longer than the model reads."""

    def __init__(self, labelled: LabelledTexts, tokenizer: PreTrainedTokenizerFast) -> None:
        longest = tokenizer.model_max_length
        self.labels = labelled.positive.tolist()
        whole: Sequence[list[int]] = tokenizer(labelled.texts, verbose=False)["input_ids"]
        self.cut = sum(len(ids) > longest for ids in whole)
        self.ids = tokenizer(labelled.texts, truncation=True, max_length=longest)["input_ids"]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"input_ids": self.ids[index], "labels": [float(self.labels[index])]}


def reward_trainer(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    examples: Examples,
    arguments: TrainingArguments,
) -> Trainer:
    """transformers' Trainer over `examples`, with binary cross entropy."""
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=examples,
        data_collator=DataCollatorWithPadding(tokenizer),
        processing_class=tokenizer,
    )
    trainer.remove_callback(PrinterCallback)
    return trainer
