"""Text classifiers and reward models in the form of transformers: loaded whole or refused, and run on many texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel

from ifcurate.corpus.tables import is_local
from ifcurate.errors import InputError, first_line
from ifcurate.model.checkpoints import positions_of
from ifcurate.model.hashes import hash_model
from ifcurate.model.trust import NOBODY, Trust
from ifcurate.model.windows import bucket_by_length
from ifcurate.storage.fetched import at_hand

BATCH_TOKENS = 1 << 14
"""Token positions classified at once, padding included."""

LONGEST = 512
"""Tokens of a text that are read where neither tokenizer nor model says how many fit."""

UNSET_LENGTH = 1 << 20
"""Tokenizers without a length of their own carry a number beyond this."""

Activation = Callable[[torch.Tensor], torch.Tensor]


class SequenceClassifier:
    """Scores texts with a sequence-classification model.

    Attributes:
        identity: hash of the weights.
        texts_cut: texts scored so far that were longer than the model reads, and of which it saw the beginning only.
    """

    def __init__(self, model: PreTrainedModel, tokenizer: Any, activation: Activation, device: str = "cpu") -> None:
        self.identity = hash_model(model)
        self._model = model.eval().to(device)
        self._tokenizer = tokenizer
        self._activation = activation
        self._longest = _longest(model, tokenizer)
        self.texts_cut = 0

    @torch.inference_mode()
    def scores(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Activated outputs, float32 [texts, outputs].

        Raises:
            InputError: the model emits NaN or Inf.
        """
        ids = [self._tokenizer(text)["input_ids"] for text in texts]
        self.texts_cut += sum(len(row) > self._longest for row in ids)
        lengths = [min(len(row), self._longest) for row in ids]
        scores = np.zeros((len(texts), int(self._model.config.num_labels)), dtype=np.float32)
        for group in bucket_by_length(lengths, BATCH_TOKENS):
            batch = self._tokenizer(
                [texts[index] for index in group],
                padding=True,
                truncation=True,
                max_length=self._longest,
                return_tensors="pt",
            ).to(self._model.device)
            scores[group] = self._activation(self._model(**batch).logits.float()).cpu().numpy()
        if not np.isfinite(scores).all():
            raise InputError(f"{self._model.name_or_path}: the classifier emits NaN or Inf; check its weights.")
        return scores


def load_sequence_classifier(name_or_path: str, trust: Trust = NOBODY) -> tuple[PreTrainedModel, Any]:
    """A sequence-classification model with all of its weights, and its tokenizer; what lies on disk is not looked up.

    Raises:
        InputError: there is no such model, some of its weights are missing, or it wants more `trust`.
    """
    name_or_path = at_hand(name_or_path)
    local = is_local(name_or_path)
    if local and not Path(name_or_path).is_dir():
        raise InputError(f"{name_or_path}: there is no such folder; give one written by save_pretrained or a Hub id.")
    try:
        model, loading = AutoModelForSequenceClassification.from_pretrained(
            name_or_path, output_loading_info=True, local_files_only=local, dtype=torch.float32, **trust.of_weights()
        )
        tokenizer = AutoTokenizer.from_pretrained(name_or_path, local_files_only=local, **trust.of_code())
    except Exception as error:  # transformers, safetensors and the Hub client raise many unrelated types here
        raise InputError(
            f"{name_or_path}: cannot be loaded as a text classifier ({first_line(error)}); "
            f"{trust.hint(name_or_path, error) or 'give a folder written by save_pretrained or a Hub id'}."
        ) from error
    refuse_missing_weights(name_or_path, loading["missing_keys"])
    return model, tokenizer


def refuse_missing_weights(name: str, missing: Sequence[str]) -> None:
    """Refuse a classifier that would score with weights nobody trained.

    Raises:
        InputError: names the first of `missing`.
    """
    if missing:
        raise InputError(
            f"{name}: lacks {len(missing)} of the classifier's weights ({sorted(missing)[0]} first); "
            "give a checkpoint that was trained to classify."
        )


def label_names(model: PreTrainedModel) -> tuple[str, ...]:
    """The model's labels in the order of its outputs."""
    return tuple(str(model.config.id2label[index]) for index in range(model.config.num_labels))


def output_activation(model: PreTrainedModel) -> Activation:
    """What turns a model's outputs into scores in [0, 1], by `config.problem_type`.

    Regression outputs are clamped as RAD does; several labels that may hold together get a sigmoid each, as does a
    single output; labels that exclude each other get a softmax.
    """
    kind = model.config.problem_type
    if kind == "regression":
        return lambda logits: logits.clamp(0, 1)
    if kind == "multi_label_classification" or model.config.num_labels == 1:
        return torch.sigmoid
    return lambda logits: logits.softmax(-1)


def _longest(model: PreTrainedModel, tokenizer: Any) -> int:
    if tokenizer.model_max_length < UNSET_LENGTH:
        return int(tokenizer.model_max_length)
    return min(LONGEST, positions_of(model.config) or LONGEST)
