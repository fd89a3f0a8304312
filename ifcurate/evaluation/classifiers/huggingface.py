"""Any text-classification model of transformers."""

from __future__ import annotations

from pathlib import Path

from ifcurate.corpus.tables import is_local, table_name
from ifcurate.errors import InputError
from ifcurate.evaluation.classifiers.base import Classifier, with_first
from ifcurate.evaluation.sequence_classifier import (
    SequenceClassifier,
    label_names,
    load_sequence_classifier,
    output_activation,
)
from ifcurate.model.trust import Trust


def load_any(which: str, label: str | None, device: str, trust: Trust) -> Classifier:
    """The model in a folder or on the Hub, with `label` first.

    Raises:
        InputError: it cannot be loaded, or `label` is missing or none of its labels.
    """
    model, tokenizer = load_sequence_classifier(which, trust)
    labels = label_names(model)
    if label is None:
        raise InputError(f"option --label: is required with hf:{which}; it has {', '.join(labels)}.")
    name = table_name(str(Path(which).resolve())) if is_local(which) else table_name(which)
    inner = SequenceClassifier(model, tokenizer, output_activation(model), device)
    return with_first(name, labels, label, inner)
