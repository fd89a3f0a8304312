"""Toxicity classifiers behind one small interface: text in, one score in [0, 1] a label out.

detoxify              Detoxify `unbiased`, the paper's; `detoxify:original` and its other models; `detoxify:FILE.ckpt`
toxigen               ToxiGen-RoBERTa, for implicit toxicity; `toxigen:FOLDER`
profanity-check       a linear model that ships its weights with the package alt-profanity-check
hf:FOLDER-OR-ID       any text-classification model of transformers, with the label named
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from ifcurate.corpus.tables import is_local, table_name
from ifcurate.errors import InputError, first_line
from ifcurate.evaluation.sequence_classifier import (
    SequenceClassifier,
    label_names,
    load_sequence_classifier,
    output_activation,
    refuse_missing_weights,
)
from ifcurate.model.trust import NOBODY, Trust

TOXICITY = "toxicity"
TOXIGEN_ID = "tomh/toxigen_roberta"
DETOXIFY_DEFAULT = "unbiased"
STANDARD_LABELS = {"toxic": TOXICITY, "identity_hate": "identity_attack", "severe_toxic": "severe_toxicity"}
"""Detoxify's own renaming of the classes stored in its checkpoints."""


class Classifier(Protocol):
    """A toxicity classifier.

    Attributes:
        name: for columns and reports.
        identity: differs between classifiers that may score differently: a hash of weights, or a package's version.
        labels: what is scored; the first is the one that EMT and TP are about, the others are sub-types.
    """

    name: str
    identity: str
    labels: tuple[str, ...]

    @property
    def texts_cut(self) -> int:
        """Texts scored so far of which only the beginning was read."""

    def score(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Scores in [0, 1], float32 [texts, labels]."""


class TransformerClassifier:
    """A `Classifier` over some outputs of a sequence-classification model."""

    def __init__(self, name: str, labels: Sequence[str], outputs: Sequence[int], inner: SequenceClassifier) -> None:
        self.name = name
        self.identity = inner.identity
        self.labels = tuple(labels)
        self._outputs = list(outputs)
        self._inner = inner

    @property
    def texts_cut(self) -> int:
        """See `Classifier`."""
        return self._inner.texts_cut

    def score(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """See `Classifier`."""
        return self._inner.scores(texts)[:, self._outputs]


class ProfanityCheck:
    """The linear classifier of alt-profanity-check: needs no network and no GPU, knows swear words best."""

    name = "profanity-check"
    labels: tuple[str, ...] = (TOXICITY,)
    texts_cut = 0

    def __init__(self) -> None:
        try:
            from profanity_check import predict_prob
        except ImportError as error:
            raise InputError(
                "option --classifier: profanity-check is not installed; run `pip install 'ifcurate[offline]'`."
            ) from error
        self.identity = f"alt-profanity-check {importlib.metadata.version('alt-profanity-check')}"
        self._predict = predict_prob

    def score(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """See `Classifier`."""
        if not texts:
            return np.zeros((0, 1), dtype=np.float32)
        return np.asarray(self._predict(list(texts)), dtype=np.float32)[:, None]


def load_classifier(spec: str, label: str | None = None, device: str = "cpu", trust: Trust = NOBODY) -> Classifier:
    """The classifier that `spec` names, as listed at the top of this module.

    Args:
        spec: `KIND` or `KIND:WHICH`.
        label: the label that comes first; needed for `hf:`, the classifier's toxicity for the others.
        device: where a neural classifier runs.
        trust: whether pickled weights and a model's own code are allowed.

    Raises:
        InputError: there is no such classifier or label, or a package or file is missing.
    """
    kind, _, which = spec.partition(":")
    if kind == "profanity-check" and not which:
        classifier: Classifier = ProfanityCheck()
    elif kind == "detoxify":
        classifier = _detoxify(which or DETOXIFY_DEFAULT, label or TOXICITY, device, trust)
    elif kind == "toxigen":
        classifier = _toxigen(which or TOXIGEN_ID, device, trust)
    elif kind == "hf" and which:
        classifier = _any_transformer(which, label, device, trust)
    else:
        raise InputError(
            f"option --classifier: there is no {spec!r}; give detoxify, detoxify:original, detoxify:FILE.ckpt, "
            "toxigen, toxigen:FOLDER, profanity-check or hf:FOLDER-OR-ID."
        )
    if label not in (None, classifier.labels[0]):
        raise _no_label(classifier.name, classifier.labels, str(label))
    return classifier


def _detoxify(which: str, label: str, device: str, trust: Trust) -> Classifier:
    try:
        from detoxify.detoxify import MODEL_URLS
    except ImportError as error:
        raise InputError(
            "option --classifier: detoxify is not installed; run `pip install 'ifcurate[eval]'`."
        ) from error
    if which in MODEL_URLS:
        model, tokenizer, classes = _published_detoxify(which, MODEL_URLS[which], trust)
    else:
        model, tokenizer, classes = _detoxify_checkpoint(Path(which), trust)
    labels = [STANDARD_LABELS.get(name, name) for name in classes]
    name = f"detoxify-{which if which in MODEL_URLS else Path(which).stem}"
    return _transformer(name, labels, label, SequenceClassifier(model, tokenizer, torch.sigmoid, device))


def _published_detoxify(which: str, url: str, trust: Trust) -> tuple[Any, Any, list[str]]:
    """A model as Detoxify publishes it, without running what it may hold.

    Detoxify's own loader unpickles whatever was downloaded. Here the file must have the hash that its name carries (the
    first 8 hexadecimal digits of SHA-256), and only tensors and plain values are read, unless pickles are allowed.
    """
    from detoxify.detoxify import get_model_and_tokenizer

    try:
        loaded = torch.hub.load_state_dict_from_url(
            url, map_location="cpu", progress=False, check_hash=True, weights_only=not trust.allow_pickle
        )
        classes = list(loaded["config"]["dataset"]["args"]["classes"])
        model, tokenizer = get_model_and_tokenizer(**loaded["config"]["arch"]["args"], state_dict=loaded["state_dict"])
    except Exception as error:  # download errors of many types, and those of torch and pickle
        remedy = "without a network give detoxify:FILE.ckpt, or profanity-check"
        if "weights_only" in str(error):
            remedy = "it holds more than weights, give --allow-pickle if you trust its makers"
        raise InputError(
            f"option --classifier: detoxify cannot load {which!r} ({first_line(error)}); {remedy}."
        ) from error
    return model, tokenizer, classes


def _detoxify_checkpoint(path: Path, trust: Trust) -> tuple[Any, Any, list[str]]:
    """Model, tokenizer and classes of a local file in Detoxify's format, built by Detoxify without any download.

    The file holds weights and the name of an architecture; `config.json` and the tokenizer come from the file's own
    folder, or from that name where it is a folder.
    """
    from detoxify.detoxify import get_model_and_tokenizer

    if not path.is_file():
        raise InputError(f"option --classifier: {path} is no file and no model of detoxify; give a checkpoint's path.")
    if not trust.allow_pickle:
        raise InputError(
            f"option --classifier: {path} is pickled, and may run any code when it is read; give --allow-pickle if you "
            "trust whoever made it."
        )
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
        architecture, weights = dict(loaded["config"]["arch"]["args"]), loaded["state_dict"]
        classes = list(loaded["config"]["dataset"]["args"]["classes"])
    except Exception as error:  # torch, zipfile and pickle raise many unrelated types here
        raise InputError(
            f"{path}: is no checkpoint of detoxify ({first_line(error)}); it needs `state_dict` and `config`."
        ) from error
    folder = next((place for place in (path.parent, Path(architecture["model_type"])) if _is_described(place)), None)
    if folder is None:
        raise InputError(
            f"{path}: the network is not asked for what {architecture['model_type']!r} is; "
            "put its config.json and tokenizer files beside the checkpoint."
        )
    model, tokenizer = get_model_and_tokenizer(**{**architecture, "model_type": str(folder)}, state_dict=weights)
    refuse_missing_weights(str(path), [name for name in model.state_dict() if name not in weights])
    return model, tokenizer, classes


def _is_described(folder: Path) -> bool:
    return (folder / "config.json").is_file()


def _toxigen(which: str, device: str, trust: Trust) -> Classifier:
    """The published classifier has two unnamed outputs, of which the second means toxic."""
    model, tokenizer = load_sequence_classifier(which, trust)
    if model.config.num_labels != 2:
        raise InputError(
            f"option --classifier: {which} has {model.config.num_labels} labels, ToxiGen's classifier has 2; "
            "use hf: with --label for another model."
        )
    inner = SequenceClassifier(model, tokenizer, output_activation(model), device)
    return TransformerClassifier("toxigen", (TOXICITY,), (1,), inner)


def _any_transformer(which: str, label: str | None, device: str, trust: Trust) -> Classifier:
    model, tokenizer = load_sequence_classifier(which, trust)
    labels = label_names(model)
    if label is None:
        raise InputError(f"option --label: is required with hf:{which}; it has {', '.join(labels)}.")
    name = table_name(str(Path(which).resolve())) if is_local(which) else table_name(which)
    inner = SequenceClassifier(model, tokenizer, output_activation(model), device)
    return _transformer(name, labels, label, inner)


def _transformer(name: str, labels: Sequence[str], first: str, inner: SequenceClassifier) -> Classifier:
    if first not in labels:
        raise _no_label(name, labels, first)
    outputs = sorted(range(len(labels)), key=lambda index: labels[index] != first)
    return TransformerClassifier(name, [labels[index] for index in outputs], outputs, inner)


def _no_label(name: str, labels: Sequence[str], wanted: str) -> InputError:
    return InputError(f"option --label: {name} has no label {wanted!r}; it has {', '.join(labels)}.")
