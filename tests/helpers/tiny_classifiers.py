"""Tiny classifiers with random weights, in the file formats of the published ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tiny_models import CONFIGS, SMALL, tiny_tokenizer
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    PreTrainedModel,
    RobertaConfig,
    RobertaForSequenceClassification,
)

LETTERS = "abcdefghijklmnopqrstuvwxyz"
TINY = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
TEXTS = ["good morning", "you vile and rotten neighbour", "a", "the winter was calm and the garden was bright"]


def random_model(kind: type[PreTrainedModel], config: Any, seed: int = 0) -> PreTrainedModel:
    """Weights wide enough that scores differ from text to text."""
    torch.manual_seed(seed)
    model = kind(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.5)
    return model.eval()


def save_detoxify(folder: Path, classes: list[str], outputs: int, model_type: str = "bert-base-uncased") -> Path:
    """A checkpoint as Detoxify publishes them, with the architecture's files beside it."""
    folder.mkdir()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    (folder / "vocab.txt").write_text("\n".join(words))
    config = BertConfig(vocab_size=len(words), **TINY)
    config.save_pretrained(folder)
    config.num_labels = outputs
    architecture = {
        "model_type": model_type,
        "model_name": "BertForSequenceClassification",
        "tokenizer_name": "BertTokenizer",
        "num_classes": outputs,
    }
    content = {
        "state_dict": random_model(BertForSequenceClassification, config).state_dict(),
        "config": {"arch": {"type": "BERT", "args": architecture}, "dataset": {"args": {"classes": classes}}},
    }
    torch.save(content, folder / "toxic.ckpt")
    return folder / "toxic.ckpt"


def save_toxigen(folder: Path, labels: int = 2, pickled: bool = False) -> Path:
    """A folder as ToxiGen-RoBERTa's: weights in one file, byte-level BPE files, labels without names."""
    bpe = json.loads(tiny_tokenizer(TEXTS).backend_tokenizer.to_str())["model"]
    folder.mkdir()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    vocabulary = {token: index for index, token in enumerate([*special, *bpe["vocab"]])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in bpe["merges"]))
    settings = {"tokenizer_class": "RobertaTokenizer", "add_prefix_space": False, "model_max_length": 40}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    config = RobertaConfig(
        vocab_size=len(vocabulary), max_position_embeddings=42, num_labels=labels, pad_token_id=1, **TINY
    )
    config.architectures = ["RobertaForSequenceClassification"]
    config.save_pretrained(folder)
    weights = random_model(RobertaForSequenceClassification, config).state_dict()
    if pickled:
        torch.save(weights, folder / "pytorch_model.bin")
    else:
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def reward_model(family: str, **changes: Any) -> PreTrainedModel:
    """A causal classifier of `family` with two outputs, `good` and `bad`."""
    kind, settings = CONFIGS[family]
    labels = {"id2label": {0: "good", 1: "bad"}, "label2id": {"good": 0, "bad": 1}}
    config = kind(**{**SMALL, **settings, **labels, "pad_token_id": 0, **changes})
    torch.manual_seed(1)
    model = AutoModelForSequenceClassification.from_config(config)
    torch.nn.init.normal_(model.score.weight, std=2)
    return model.eval()
