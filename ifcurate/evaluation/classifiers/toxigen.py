"""ToxiGen-RoBERTa, for implicit toxicity."""

from __future__ import annotations

from ifcurate.errors import InputError
from ifcurate.evaluation.classifiers.base import TOXICITY, Classifier, TransformerClassifier, no_label
from ifcurate.evaluation.sequence_classifier import SequenceClassifier, load_sequence_classifier, output_activation
from ifcurate.model.trust import Trust

TOXIGEN_ID = "tomh/toxigen_roberta"


def load_toxigen(which: str, label: str | None, device: str, trust: Trust) -> Classifier:
    """The published classifier, or one in a folder: two unnamed outputs, of which the second means toxic.

    Raises:
        InputError: it cannot be loaded, has other outputs, or lacks the label.
    """
    which = which or TOXIGEN_ID
    if label not in (None, TOXICITY):
        raise no_label("toxigen", (TOXICITY,), str(label))
    model, tokenizer = load_sequence_classifier(which, trust)
    if model.config.num_labels != 2:
        raise InputError(
            f"option --classifier: {which} has {model.config.num_labels} labels, ToxiGen's classifier has 2; "
            "use hf: with --label for another model."
        )
    inner = SequenceClassifier(model, tokenizer, output_activation(model), device)
    return TransformerClassifier("toxigen", (TOXICITY,), (1,), inner)
