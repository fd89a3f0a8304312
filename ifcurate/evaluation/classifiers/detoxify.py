"""Detoxify: its published models, and checkpoints in its format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ifcurate.errors import InputError, first_line
from ifcurate.evaluation.classifiers.base import TOXICITY, Classifier, with_first
from ifcurate.evaluation.sequence_classifier import SequenceClassifier, refuse_missing_weights
from ifcurate.model.trust import Trust

PAPER_MODEL = "unbiased"
STANDARD_LABELS = {"toxic": TOXICITY, "identity_hate": "identity_attack", "severe_toxic": "severe_toxicity"}
"""Detoxify's own renaming of the classes stored in its checkpoints."""


def load_detoxify(which: str, label: str | None, device: str, trust: Trust) -> Classifier:
    """A published model of Detoxify by its name, or a checkpoint in a file.

    Raises:
        InputError: Detoxify is not installed, or the model cannot be loaded or lacks the label.
    """
    which = which or PAPER_MODEL
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
    return with_first(name, labels, label or TOXICITY, SequenceClassifier(model, tokenizer, torch.sigmoid, device))


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
