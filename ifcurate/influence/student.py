"""A student: a small causal language model whose head says of every token what its influence is, about.

It is an ordinary folder of `save_pretrained` with one file more: the head, and what is known of it. The head reads the
last hidden state at the position of the token itself, where the model has seen the token and what is before it, as
its influence depends on both.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn
from transformers import PreTrainedModel

from ifcurate.artifacts import BehaviourName, OpenArtifact, Sha256, read_artifact
from ifcurate.checksums import CHECKSUM, checked, is_whole
from ifcurate.errors import InputError
from ifcurate.files import finishing
from ifcurate.influence.approximate import APPROXIMATE, approximation
from ifcurate.influence.direction import hash_tensors
from ifcurate.influence.quantile_map import QuantileMap
from ifcurate.model.token_loss import Body
from ifcurate.model.windows import WindowBatch
from ifcurate.storage.fetched import at_hand
from ifcurate.version import __version__

STUDENT_FILE = "student.safetensors"
"""In the folder of a student's checkpoint."""
METADATA_KEY = "ifcurate"
WEIGHT, BIAS = "weight", "bias"
_REMEDY = "get it again from whoever made it, or make one with `ifcurate distil`"


class StudentFacts(OpenArtifact):
    """What a student's head says of itself.

    Attributes:
        behaviour: whose influence it says.
        model: the model whose influence it learnt, and `direction_hash` that along which.
        model_hash: of the student's own weights.
        tokenizer_hash: of its tokenizer, which is that of the model.
        context: tokens a window where it learnt.
        correlation: rank correlation (Spearman) with the exact influence, on documents that it has not learnt from.
        overlap: share of the exact top `share` of these documents' tokens in its own.
        scale: `QuantileMap` from what the head says to the unit of influence.
    """

    behaviour: BehaviourName
    model: str
    direction_hash: Sha256
    model_hash: Sha256
    tokenizer_hash: Sha256
    context: int = Field(ge=1)
    correlation: float = Field(ge=-1, le=1)
    overlap: float = Field(ge=0, le=1)
    share: float = Field(gt=0, le=1)
    scale: str
    weights_hash: Sha256


@dataclass(frozen=True)
class Student:
    """The head of a student: `weight` float32 [1, width], `bias` float32 [1], its scale, and what is known of it."""

    tensors: Mapping[str, torch.Tensor]
    scale: QuantileMap
    provenance: Mapping[str, Any]

    @property
    def behaviour(self) -> str:
        """Whose influence it says."""
        return str(self.provenance["behaviour"])

    def sentence(self) -> str:
        """How near it comes, for people."""
        return approximation({**self.provenance, APPROXIMATE: True})

    def of(self, features: torch.Tensor) -> torch.Tensor:
        """Influence, float32 [tokens] on the device of `features`, of tokens with `features` [tokens, width]."""
        weight, bias = (self.tensors[name].to(features.device, torch.float32) for name in (WEIGHT, BIAS))
        said = features.float() @ weight[0] + bias
        values = self.scale.of(said.cpu().numpy()).astype(np.float32)
        return torch.from_numpy(values).to(features.device)


def body_of(model: PreTrainedModel) -> Body:
    """Token ids to last hidden states, without the language model's own head.

    Raises:
        InputError: the model has no body of its own.
    """
    if model.base_model is model:
        raise InputError(
            f"option --student: {type(model).__name__} has no body apart from its head; give another model."
        )
    return Body(model.base_model, "last_hidden_state")


def new_head(model: PreTrainedModel) -> nn.Linear:
    """A head that says 0 of every token."""
    embedding = model.get_input_embeddings()
    with torch.no_grad():
        width = body_of(model)(torch.zeros(1, 1, dtype=torch.long, device=model.device)).shape[-1]
    head = nn.Linear(width, 1, device=embedding.weight.device)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return head


def own_tokens(batch: WindowBatch) -> torch.Tensor:
    """int64 [batch, length]: the tokens of the windows themselves, each at the position whose label it is.

    What stands behind a window's last label is seen by none before it.
    """
    following = batch.input_ids.roll(-1, dims=1)
    return torch.where(batch.mask, batch.labels, following)


def find_student(place: str) -> Path:
    """The file of the head in a student's folder.

    Raises:
        InputError: it is none.
    """
    file = Path(at_hand(place)) / STUDENT_FILE
    if not file.is_file():
        raise InputError(f"{place}: is no student, it has no {STUDENT_FILE}; make one with `ifcurate distil`.")
    return file


def save_student(tensors: Mapping[str, torch.Tensor], scale: QuantileMap, said: Mapping[str, Any], path: Path) -> None:
    """Write a head; `said` is what `StudentFacts` wants, without scale and hash, and all else about how it was made.

    Raises:
        InputError: a weight is NaN or infinite.
    """
    if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values()):
        raise InputError(f"{path}: the student has NaN or infinite weights; lower --learning-rate.")
    held = {name: tensor.detach().to("cpu", torch.float32).contiguous() for name, tensor in tensors.items()}
    facts = {"version": __version__, **said, "scale": scale.to_json(), "weights_hash": hash_tensors(held)}
    with finishing(path) as part:
        save_file(held, part, metadata={METADATA_KEY: json.dumps(checked(facts), sort_keys=True)})


def load_student(path: Path) -> Student:
    """Read a head.

    Raises:
        InputError: the file is missing, damaged, or no student's.
    """
    try:
        with safe_open(path, framework="pt") as stored:
            metadata = stored.metadata() or {}
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: cannot be read as a student ({error}); {_REMEDY}.") from error
    if METADATA_KEY not in metadata or set(tensors) != {WEIGHT, BIAS}:
        raise InputError(f"{path}: is no student; make one with `ifcurate distil`.")
    facts = read_artifact(StudentFacts, metadata[METADATA_KEY], path, _REMEDY)
    if not is_whole(json.loads(metadata[METADATA_KEY])) or facts.weights_hash != hash_tensors(tensors):
        raise InputError(f"{path}: is not what was written, it was damaged since; {_REMEDY}.")
    said = {name: value for name, value in facts.model_dump().items() if name not in (CHECKSUM, "scale")}
    return Student(tensors, QuantileMap.from_json(facts.scale), said)


def check_student(student: Student, place: str, model_hash: str, tokenizer_hash: str) -> None:
    """Refuse a head beside other weights or another tokenizer than it was learnt with.

    Raises:
        InputError: names what differs.
    """
    for what, found in (("model", model_hash), ("tokenizer", tokenizer_hash)):
        expected = str(student.provenance[f"{what}_hash"])
        if expected != found:
            raise InputError(
                f"{place}: the student's {what} is not the one that was learnt (hash {expected[:12]}, here "
                f"{found[:12]}); {_REMEDY}."
            )
